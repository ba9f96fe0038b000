#include "apps/kronbit/search/finals.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "apps/kronbit/search/expectation.h"
#include "apps/kronbit/search/statistics.h"

namespace kronbit::app {
namespace {

constexpr const char* kMeasured = "measured";

/// Leaves the rows of the last choice with one of its best among them, in its order. Journals from before choices were
/// written down keep theirs.
void keep_the_last_choice(const std::vector<Json>& lines, const FinalTuning& tuning, std::vector<FinalRow>& rows) {
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    if ((*line)["event"] != "finals" || tuning_of(*line) != tuning) continue;
    std::vector<FinalRow> chosen;
    for (const Json& wanted : get_array(*line, "rows", "journal")) {
      const auto row = std::find_if(rows.begin(), rows.end(), [&](const FinalRow& r) {
        return r.kind == get_string(wanted, "kind", "journal") && get(wanted, "bits", "journal") == Json(r.bits);
      });
      if (row != rows.end()) chosen.push_back(*row);
    }
    if (chosen.empty() || !chosen[0].found()) continue;
    rows = std::move(chosen);
    return;
  }
}

}  // namespace

FinalTuning tuning_of(const Json& line) {
  return {get_number(line, "epochs", 0, 1e6, "journal"),
          has(line, "schedule") ? get_string(line, "schedule", "journal") : FinalOptions{}.schedule};
}

bool FinalRow::found() const { return kind.starts_with("best") || kind == kMeasured; }

size_t FinalRow::best_training() const {
  return static_cast<size_t>(std::max_element(validation.begin(), validation.end()) - validation.begin());
}

double FinalRow::mean_validation() const { return mean(validation); }
double FinalRow::mean_top1() const { return mean(top1); }
double FinalRow::sd_top1() const { return app::sd(top1); }

double FinalRow::doubt(int64_t images) const {
  const double p = mean_top1();
  const double between = sd_top1() * sd_top1() / static_cast<double>(top1.size());
  return std::sqrt(between + p * (1 - p) / static_cast<double>(std::max<int64_t>(images, 1)));
}

const FinalRow* Finals::find(const std::string& kind) const {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const FinalRow& r) { return r.kind == kind; });
  return found == rows.end() ? nullptr : &*found;
}

const FinalRow* Finals::champion(const SearchSpace& space) const {
  const FinalRow* first = nullptr;
  double highest = 0;
  for (const FinalRow& row : rows) {
    if (!row.found()) continue;
    const double score = search::score(space.goal, row.mean_validation(), row.bits, space.cost_of(row.bits));
    if (!first || score > highest) {
      first = &row;
      highest = score;
    }
  }
  return first;
}

std::vector<FinalRow> choose_finals(const SearchSpace& space, const search::RunState& state,
                                    const FinalOptions& options) {
  const search::Model model = state.explorer().fit();
  const std::vector<search::Ranked> ranked =
      search::rank(model, state.explorer(), space.candidates, space.goal, space.limits);
  std::vector<FinalRow> rows;
  const auto add = [&](const std::string& kind, const Bits& bits) {
    const search::Candidate configuration = space.configuration(bits);
    const auto p = model.predict({configuration}, state.explorer().tasks() - 1);
    rows.push_back({.kind = kind,
                    .bits = bits,
                    .estimate = std::clamp(p.mean[0], 0.0, 1.0),
                    .sd = std::sqrt(p.variance[0]),
                    .cost = configuration.cost});
  };
  for (size_t i = 0; i < ranked.size() && static_cast<int>(i) < options.top; ++i) {
    add(fmt::format("best {}", i + 1), space.candidates[ranked[i].candidate].bits);
  }
  if (rows.empty()) return rows;
  // The model may prefer what nobody has tried; the best of what was tried is not given up for it unseen.
  if (const std::optional<search::Best>& best = state.best()) {
    const search::Candidate& incumbent = space.candidates[best->candidate];
    const bool is_in =
        std::any_of(rows.begin(), rows.end(), [&](const FinalRow& row) { return row.bits == incumbent.bits; });
    if (best->task == state.explorer().tasks() - 1 && space.limits.allow(incumbent.cost) && !is_in)
      add(kMeasured, incumbent.bits);
  }
  const search::Candidate& first = space.candidates[ranked[0].candidate];
  const auto layers = static_cast<int64_t>(space.layers.size());
  const Bits uniform = search::nearest_uniform(layers, first.cost.bytes, space.cost_of);
  add("uniform", uniform);
  const Bits reversed = search::reversed_of_equal_size(space.curve, first, space.cost_of);
  add("reversed", reversed);
  return rows;
}

Finals read_finals(const std::vector<Json>& lines, const SearchSpace& space) {
  Finals finals;
  FinalTuning last;
  for (const Json& line : lines) {
    if (line["event"] == "fp32") finals.fp32_top1 = get_number(line, "top1", 0, 1, "journal");
    if (line["event"] == "final") last = tuning_of(line);
  }
  finals.tuning = last;
  for (const Json& line : lines) {
    if (line["event"] != "final" || tuning_of(line) != last) continue;
    const Bits bits = line["bits"].get<Bits>();
    const std::string kind = get_string(line, "kind", "journal");
    auto row = std::find_if(finals.rows.begin(), finals.rows.end(),
                            [&](const FinalRow& r) { return r.kind == kind && r.bits == bits; });
    if (row == finals.rows.end()) {
      // A longer search may have chosen anew: the later choice counts.
      std::erase_if(finals.rows, [&](const FinalRow& r) { return r.kind == kind; });
      finals.rows.push_back({.kind = kind,
                             .bits = bits,
                             .estimate = get_number(line, "estimate", 0, 1, "journal"),
                             .sd = get_number(line, "sd", 0, 1e6, "journal"),
                             .cost = space.cost_of(bits)});
      row = finals.rows.end() - 1;
    }
    const int seed = static_cast<int>(get_int(line, "seed", 1, INT32_MAX, "journal"));
    if (std::find(row->seeds.begin(), row->seeds.end(), seed) != row->seeds.end()) continue;  // chosen once more
    row->seeds.push_back(seed);
    row->validation.push_back(get_number(line, "validation", 0, 1, "journal"));
    row->top1.push_back(get_number(line, "top1", 0, 1, "journal"));
    finals.images = get_int(line, "images", 0, INT64_MAX, "journal");
  }
  keep_the_last_choice(lines, last, finals.rows);
  return finals;
}

std::vector<Json> open_failures(const std::vector<Json>& lines) {
  const auto same = [](const Json& a, const Json& b) {
    return a["bits"] == b["bits"] && a["seed"] == b["seed"] && tuning_of(a) == tuning_of(b);
  };
  std::vector<Json> open;
  for (const Json& line : lines) {
    if (line["event"] == "finals") open.clear();  // another choice: what it still wants is tried again
    if (line["event"] == "final_failed") open.push_back(line);
    if (line["event"] == "final") std::erase_if(open, [&](const Json& failed) { return same(failed, line); });
  }
  return open;
}

int64_t failed_trainings(const std::vector<Json>& failures) {
  std::set<std::pair<Json, Json>> trainings;
  for (const Json& line : failures) trainings.emplace(line["bits"], line["seed"]);
  return std::ssize(trainings);
}

Json wish_met(const search::Goal& goal, double validation) {
  return goal.min_accuracy > 0 ? Json(validation >= goal.min_accuracy) : Json(nullptr);
}

std::string unmet_wish(const search::Goal& goal, double validation) {
  if (validation >= goal.min_accuracy) return "";
  return fmt::format("wanted at least {:.2f} % on validation images; nothing reached it, this is the nearest",
                     100 * goal.min_accuracy);
}

std::string format_finals(const Finals& finals) {
  size_t width = 13;
  bool timed = false;
  for (const FinalRow& row : finals.rows) {
    width = std::max(width, format_bits(row.bits).size());
    timed = timed || row.cost.milliseconds > 0;
  }
  std::string out = fmt::format("{:<9} {:<{}} {:>16} {:>10} {:>6} {:>7} {:>6} {:>8}{}\n", "", "configuration", width,
                                "GP estimate", "mean top-1", "sd", "delta", "bits", "MB", timed ? "       ms" : "");
  if (finals.fp32_top1)
    out += fmt::format("{:<9} {:<{}} {:>16} {:>9.2f}%\n", "fp32", "32-bit floating point", width, "-",
                       100 * *finals.fp32_top1);
  for (const FinalRow& row : finals.rows) {
    int total = 0;
    for (int b : row.bits) total += b;
    out += fmt::format("{:<9} {:<{}} {:>16} {:>9.2f}% {:>6} {:>+6.2f}% {:>6} {:>8.4f}{}\n", row.kind,
                       format_bits(row.bits), width, fmt::format("{:.2f}% +- {:.2f}", 100 * row.estimate, 100 * row.sd),
                       100 * row.mean_top1(), row.top1.size() > 1 ? fmt::format("{:.2f}", 100 * row.sd_top1()) : "-",
                       100 * (row.mean_top1() - row.estimate), total, row.cost.bytes / 1e6,
                       timed ? fmt::format(" {:>8.4g}", row.cost.milliseconds) : "");
  }
  return out;
}

std::string final_verdict(const Finals& finals, const SearchSpace& space) {
  const FinalRow *best = finals.champion(space), *uniform = finals.find("uniform");
  if (!best || !uniform) return "";
  const auto side = [&](const FinalRow& row) {
    return Contender{row.bits, row.mean_top1(), row.doubt(finals.images), row.cost.bytes, row.cost.milliseconds};
  };
  return verdict(side(*best), side(*uniform), Source::Test);
}

}  // namespace kronbit::app
