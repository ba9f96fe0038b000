#include "apps/kronbit/options/pictures.h"

#include <algorithm>

#include "apps/kronbit/progress.h"
#include "tensor/io/text.h"

namespace kronbit::app {
namespace {

constexpr size_t kMostShown = 5;

/// All of `sets`, in bytewise order of their names.
std::vector<data::Damage> damaged_of(const std::vector<data::Dataset>& sets) {
  std::vector<data::Damage> all;
  for (const data::Dataset& set : sets) std::ranges::move(set.damaged(&stop_requested), std::back_inserter(all));
  std::ranges::sort(all, {}, &data::Damage::name);
  return all;
}

/// The first of them, and how many more there are.
std::string first_of(const std::vector<data::Damage>& damaged, bool reasons) {
  std::string list;
  for (size_t i = 0; i < std::min(damaged.size(), kMostShown); ++i) {
    const auto& [name, what] = damaged[i];  // what: "[path] reason"
    const size_t path_end = what.find("] ");
    list += (i > 0 ? "; " : "") + name;
    if (reasons && path_end != std::string::npos) list += ": " + what.substr(path_end + 2);
  }
  if (damaged.size() > kMostShown) list += fmt::format("; and {} more", damaged.size() - kMostShown);
  return list;
}

}  // namespace

void check_pictures(const DataOptions& options, const std::vector<data::Dataset>& sets) {
  if (options.skip_bad && !options.left_out) return;
  const std::vector<data::Damage> damaged = damaged_of(sets);
  if (damaged.empty()) return;
  const char* hint = options.skip_bad ? "damaged since the run began" : "--skip-bad leaves damaged pictures out";
  if (damaged.size() == 1) throw InputError(fmt::format("{} ({})", damaged[0].what, hint));
  int64_t looked_at = 0;
  for (const data::Dataset& set : sets) looked_at += set.size();
  input_error(options.data, "{} of {} pictures are damaged ({}): {}", damaged.size(), looked_at, hint,
              first_of(damaged, true));
}

std::vector<std::string> find_left_out(const std::vector<data::Dataset>& sets) {
  const std::vector<data::Damage> damaged = damaged_of(sets);
  if (std::ssize(damaged) > kMostLeftOut) {
    input_error("--skip-bad", "wanted at most {} damaged pictures, got {}: {}", kMostLeftOut, damaged.size(),
                first_of(damaged, true));
  }
  std::vector<std::string> names;
  for (const data::Damage& d : damaged) {
    if (!is_utf8(d.name)) input_error("--skip-bad", "wanted a picture's name in UTF-8, got {}", quote(d.name, 200));
    names.push_back(d.name);
  }
  if (!names.empty())
    tell("{} damaged {} left out: {}\n", names.size(), names.size() == 1 ? "picture is" : "pictures are",
         printable(first_of(damaged, false)));
  return names;
}

std::optional<std::vector<std::string>> left_out_by(const std::vector<Json>& journal) {
  if (journal.empty()) return std::nullopt;
  const Json& settings = get_object(journal[0], "settings", "journal");
  if (!has(settings, "skip_bad")) return std::nullopt;
  return get_strings(settings, "skip_bad", "journal");
}

Json input_line(const data::DamagedImage& picture) {
  return {{"event", "input"},
          {"reason", printable(picture.what())},
          {"picture", printable(picture.name())},
          {"bytes", picture.bytes()}};
}

std::string fingerprint_of(const DataOptions& options, int64_t input_size, const data::Splits& splits,
                           const std::vector<Json>& journal, const char* key) {
  if (journal.empty()) return splits.fingerprint;
  DataOptions as_it_began = options;
  as_it_began.normalize = splits.normalization.text();
  as_it_began.left_out = splits.left_out;
  for (const Json& line : journal) {
    if (line["event"] == "input" && has(line, "picture"))
      as_it_began.sizes.try_emplace(get_string(line, "picture", "journal"),  // the first: it may have been mended twice
                                    static_cast<uint64_t>(get_int(line, "bytes", 0, INT64_MAX, "journal")));
  }
  const Json& settings = get_object(journal[0], "settings", "journal");
  if (as_it_began.sizes.empty() || !has(settings, key)) return splits.fingerprint;
  const std::string before = get_string(settings, key, "journal");
  return open_data(as_it_began, input_size).fingerprint == before ? before : splits.fingerprint;
}

}  // namespace kronbit::app
