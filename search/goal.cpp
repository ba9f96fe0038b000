#include "search/goal.h"

#include <array>
#include <numeric>
#include <utility>

#include "tensor/base/error.h"
#include "tensor/io/text.h"

namespace kronbit::search {
namespace {

constexpr std::array<std::pair<By, std::string_view>, 5> kNames = {{{By::Effective, "effective"},
                                                                    {By::Accuracy, "accuracy"},
                                                                    {By::Size, "size"},
                                                                    {By::Bops, "bops"},
                                                                    {By::Latency, "latency"}}};

}  // namespace

By parse_by(std::string_view text) {
  for (const auto& [by, name] : kNames)
    if (name == text) return by;
  input_error("by", "wanted effective, accuracy, size, bops or latency, got {}", quote(text));
}

std::string_view name_of(By by) { return kNames[static_cast<size_t>(by)].second; }

double effective_accuracy(double accuracy, const Bits& bits, double k) {
  const int sum = std::accumulate(bits.begin(), bits.end(), 0);
  return accuracy - (sum - 4.0 * static_cast<double>(bits.size())) / k;
}

double score(const Goal& goal, double accuracy, const Bits& bits, const Cost& cost) {
  if (!goal.limits.allow(cost)) return -1e18 * (2.0 - accuracy);
  if (accuracy < goal.min_accuracy) return -1e16 * (1.0 + goal.min_accuracy - accuracy);
  switch (goal.by) {
    case By::Effective:
      return effective_accuracy(accuracy, bits, goal.k);
    case By::Accuracy:
      return accuracy;
    case By::Size:
      return -cost.bytes;
    case By::Bops:
      return -cost.bops;
    case By::Latency:
      break;
  }
  return -cost.milliseconds;
}

}  // namespace kronbit::search
