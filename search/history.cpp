#include "search/history.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tensor/base/error.h"
#include "tensor/io/text.h"

namespace kronbit::search {
namespace {

constexpr std::array<std::pair<Reason, std::string_view>, 6> kReasons = {{{Reason::Try, "try"},
                                                                          {Reason::Design, "design"},
                                                                          {Reason::Information, "information"},
                                                                          {Reason::Target, "target"},
                                                                          {Reason::Strategy, "strategy"},
                                                                          {Reason::Refine, "refine"}}};

}  // namespace

std::string_view name_of(Reason reason) { return kReasons[static_cast<size_t>(reason)].second; }

Reason parse_reason(std::string_view text, std::string_view where) {
  for (const auto& [reason, name] : kReasons)
    if (name == text) return reason;
  input_error(where, "reason: wanted try, design, information, target, strategy or refine, got {}", quote(text));
}

bool History::is_try(size_t candidate) const { return std::find(tries.begin(), tries.end(), candidate) != tries.end(); }

bool History::anything_known() const {
  return std::any_of(told.begin(), told.end(), [](const Told& each) { return each.ok; });
}

}  // namespace kronbit::search
