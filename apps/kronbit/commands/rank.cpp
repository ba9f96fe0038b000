// kronbit rank: every candidate of a search, run or not, ordered by what the model expects of it.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "apps/kronbit/search/expectation.h"
#include "quant/bits_file.h"
#include "search/journal.h"
#include "tensor/io/parse.h"

namespace kronbit::app {
namespace {

constexpr size_t kMostEvidence = 6;

struct Options {
  std::string run, top, out;                             ///< top "": 10, or the whole front
  WishOptions wish{"", "", "", "", "", "", "", "", ""};  ///< only what the command line says; the rest is the run's
  bool csv = false, why = false, front = false;
};

WishOptions merged(WishOptions run, const WishOptions& given) {
  for (std::string WishOptions::*field :
       {&WishOptions::by, &WishOptions::k, &WishOptions::min_accuracy, &WishOptions::max_drop, &WishOptions::max_size,
        &WishOptions::max_avg_bits, &WishOptions::max_bops, &WishOptions::max_latency}) {
    if (!(given.*field).empty()) run.*field = given.*field;
  }
  return run;
}

/// Times of another profile than the run's.
void use_profile(RunView& run, const std::string& path) {
  run.settings.latency = LatencyModel::read(path, run.space.net);
  run.space.cost_of = [cost_of = run.space.cost_of, latency = run.settings.latency](const Bits& bits) {
    search::Cost cost = cost_of(bits);
    cost.milliseconds = latency.milliseconds(bits);
    return cost;
  };
  for (search::Candidate& c : run.space.candidates) c.cost = run.space.cost_of(c.bits);
  auto& make = run.space.explorer.strategy.make_candidate;  // of what is compared with them
  make = [make, cost_of = run.space.cost_of](const Bits& bits) {
    search::Candidate c = make(bits);
    c.cost = cost_of(bits);
    return c;
  };
}

/// Throws: InputError when the limits leave nothing, saying what the smallest candidate needs.
void check_limits(const RunView& run, const std::vector<search::Ranked>& ranked) {
  if (!ranked.empty()) return;
  const auto& all = run.space.candidates;
  const auto& least = *std::min_element(all.begin(), all.end(),
                                        [](const auto& a, const auto& b) { return a.cost.bytes < b.cost.bytes; });
  const auto& fastest = *std::min_element(
      all.begin(), all.end(), [](const auto& a, const auto& b) { return a.cost.milliseconds < b.cost.milliseconds; });
  input_error(
      "rank",
      "limits: wanted at least what the smallest candidate needs ({} bytes, {:.3f} bits per weight, {:.4g} bit "
      "operations{}), got less",
      least.cost.bytes, least.cost.average_bits, least.cost.bops,
      run.settings.latency.known() ? fmt::format("; {:.4g} ms for the fastest", fastest.cost.milliseconds) : "");
}

/// Only those expected to reach the wished accuracy. Throws: Error naming the nearest when there is none.
void keep_accurate(const RunView& run, const search::Goal& goal, std::vector<search::Ranked>& ranked) {
  const search::Ranked nearest = ranked.front();
  std::erase_if(ranked, [&](const search::Ranked& r) { return r.accuracy < goal.min_accuracy; });
  if (!ranked.empty()) return;
  throw Error(fmt::format(
      "[rank] no candidate is expected to reach {:.2f} % accuracy; the nearest is {} with {:.2f} % +- {:.2f}",
      100 * goal.min_accuracy, format_bits(run.space.candidates[nearest.candidate].bits), 100 * nearest.accuracy,
      100 * nearest.sd));
}

/// The front alone, smallest first.
void by_rising_size(const RunView& run, std::vector<search::Ranked>& ranked) {
  std::erase_if(ranked, [](const search::Ranked& r) { return !r.on_front; });
  std::ranges::stable_sort(ranked, {},
                           [&](const search::Ranked& r) { return run.space.candidates[r.candidate].cost.bytes; });
}

Json json_of(const Expected& e) {
  return {{"bits", e.bits},
          {"text", format_bits(e.bits)},
          {"curve", e.w},
          {"accuracy", e.accuracy},
          {"accuracy_sd", e.sd},
          {"effective", e.effective},
          {"bytes", e.cost.bytes},
          {"average_bits", e.cost.average_bits},
          {"bops", e.cost.bops},
          {"milliseconds", e.cost.milliseconds > 0 ? Json(e.cost.milliseconds) : Json(nullptr)},
          {"measured", e.measured ? Json(*e.measured) : Json(nullptr)}};
}

Expected expected_of(const RunView& run, const search::Ranked& r) {
  const search::Candidate& c = run.space.candidates[r.candidate];
  return {c.bits, c.w, c.cost, r.accuracy, r.sd, r.effective, r.measured};
}

void print_csv(const std::vector<Expected>& rows) {
  fmt::print("rank,bits,curve,accuracy,accuracy_sd,effective,bytes,average_bits,bops,milliseconds,measured\n");
  for (size_t i = 0; i < rows.size(); ++i) {
    const Expected& e = rows[i];
    fmt::print("{},{},{},{},{},{},{},{},{},{},{}\n", i + 1, format_bits(e.bits), fmt::join(e.w, " "), e.accuracy, e.sd,
               e.effective, e.cost.bytes, e.cost.average_bits, e.cost.bops,
               e.cost.milliseconds > 0 ? fmt::format("{}", e.cost.milliseconds) : "",
               e.measured ? fmt::format("{}", *e.measured) : "");
  }
}

void print_table(const RunView& run, const Expected& best, const std::vector<Expected>& rows,
                 const std::vector<bool>& front, const Rivals& others) {
  size_t width = 4;
  for (const Expected& e : rows) width = std::max(width, format_bits(e.bits).size());
  for (const Expected* e : {&others.uniform, &others.reversed}) width = std::max(width, format_bits(e->bits).size());
  const bool timed = run.settings.latency.known();
  fmt::print("{:>8}  {:<{}} {:>16} {:>9} {:>10} {:>9} {:>8} {:>9} {:>10}{}  {}\n", "rank", "bits", width, "accuracy %",
             "measured", "effective", "MB", "of fp32", "bits/w", "BOPs", timed ? "       ms" : "", "front");
  const auto print_row = [&](const std::string& name, const Expected& e, bool on_front) {
    fmt::print("{:>8}  {:<{}} {:>16} {:>9} {:>10.2f} {:>9.4f} {:>7.2f}% {:>9.2f} {:>10.3g}{}  {}\n", name,
               format_bits(e.bits), width, fmt::format("{:.2f} +- {:.2f}", 100 * e.accuracy, 100 * e.sd),
               e.measured ? fmt::format("{:.2f}", 100 * *e.measured) : "-", 100 * e.effective, e.cost.bytes / 1e6,
               100 * e.cost.bytes / fp32_bytes(run.space), e.cost.average_bits, e.cost.bops,
               timed ? fmt::format(" {:>8.4g}", e.cost.milliseconds) : "", on_front ? "*" : "");
  };
  for (size_t i = 0; i < rows.size(); ++i) print_row(fmt::format("{}", i + 1), rows[i], front[i]);
  print_row("uniform", others.uniform, false);
  print_row("reversed", others.reversed, false);
  fmt::print("\n{} {}\n", format_bits(best.bits), expected_verdict(best, others.uniform));
}

/// Why the first of the ranking is first: what was measured near it, and what its rivals cost.
void print_why(const RunView& run, const search::Model& model, const Expected& best, const Rivals& others) {
  const search::History& history = run.state.explorer().history();
  fmt::print("\nWhy {}: {:.2f} % +- {:.2f} expected at {:g} epochs, from these measurements first:\n",
             format_bits(best.bits), 100 * best.accuracy, 100 * best.sd, run.space.epochs.back());
  for (const search::Evidence& e : evidence_for(model, history, run.space.configuration(best.bits), kMostEvidence))
    fmt::print("  {:<{}}  {:>6.2f} % at {:g} epochs, correlation {:.3f}{}\n",
               format_bits(history.candidates[e.candidate].bits), 32, 100 * e.accuracy,
               run.space.epochs[static_cast<size_t>(e.task)], e.correlation,
               history.candidates[e.candidate].bits == best.bits ? " (itself)" : "");
  for (const auto& [name, other] : {std::pair{"uniform", others.uniform}, {"reversed", others.reversed}})
    fmt::print("{} {}: {:+.2f} points (+- {:.2f}), {:+.1f} % bytes, {:+.1f} % bit operations against it\n", name,
               format_bits(other.bits), 100 * (other.accuracy - best.accuracy),
               100 * sd_of_difference(other.sd, best.sd, other.correlation),
               100 * (other.cost.bytes / best.cost.bytes - 1), 100 * (other.cost.bops / best.cost.bops - 1));
  if (!best.measured)
    fmt::print("It was not measured at the last task: kronbit finetune --bits '{}' would.\n", format_bits(best.bits));
}

Json why_json(const RunView& run, const search::Model& model, const Expected& best) {
  const search::History& history = run.state.explorer().history();
  Json list = Json::array();
  for (const search::Evidence& e : evidence_for(model, history, run.space.configuration(best.bits), kMostEvidence))
    list.push_back({{"bits", history.candidates[e.candidate].bits},
                    {"epochs", run.space.epochs[static_cast<size_t>(e.task)]},
                    {"accuracy", e.accuracy},
                    {"correlation", e.correlation}});
  return list;
}

/// A bits.json of the first of the ranking, for --bits @FILE.
void write_winner(const RunView& run, const Bits& bits, const std::string& path) {
  quant::write_bits_file(path, run.space.net, {bits, assign_options(run.settings.quantizer)});
}

/// The files of the run, and the profile.
std::vector<std::filesystem::path> inputs_of(const Options& options) {
  std::vector<std::filesystem::path> inputs;
  for (const char* name : {search::kJournalName, "journal.torn", "lock", "report.html", "best", "work"})
    inputs.push_back(std::filesystem::path(options.run) / name);
  if (!options.wish.profile.empty()) inputs.emplace_back(options.wish.profile);
  return inputs;
}

int run_rank(const Frame& frame, const Options& options) {
  constexpr int64_t kAll = 1'000'000;
  const int64_t top = options.top.empty() ? (options.front ? kAll : 10) : parse_int(options.top, 1, kAll, "--top");
  check_output(options.out, "--out", inputs_of(options));
  RunView run = open_run(options.run);
  const WishOptions wish = merged(run.settings.wish, options.wish);
  if (!options.wish.profile.empty()) use_profile(run, options.wish.profile);
  check_latency(wish, run.settings.latency);
  const search::Goal goal = goal_of(wish, run.settings.fp32_validation);
  if (!run.state.explorer().anything_known()) input_error(options.run, "wanted a search with results, got none yet");
  const search::Model model = run.state.explorer().fit();
  std::vector<search::Ranked> ranked =
      search::rank(model, run.state.explorer(), run.space.candidates, goal, limits_of(wish));
  check_limits(run, ranked);
  keep_accurate(run, goal, ranked);
  const size_t candidates = ranked.size(), winner = ranked[0].candidate;
  const Expected best = expected_of(run, ranked[0]);
  if (options.front) by_rising_size(run, ranked);
  ranked.resize(std::min(ranked.size(), static_cast<size_t>(top)));
  std::vector<Expected> rows;
  std::vector<bool> front;
  for (const search::Ranked& r : ranked) {
    rows.push_back(expected_of(run, r));
    front.push_back(r.on_front);
  }
  const Rivals others = rivals(run, model, goal, winner);

  if (frame.json) {
    Json list = Json::array();
    for (size_t i = 0; i < rows.size(); ++i) {
      list.push_back(json_of(rows[i]));
      list.back()["front"] = bool(front[i]);
    }
    Json answer = {{"by", wish.by},
                   {"candidates", list},
                   {"uniform", json_of(others.uniform)},
                   {"reversed", json_of(others.reversed)},
                   {"ranked", candidates},
                   {"evaluations", run.state.evaluations()},
                   {"verdict", expected_verdict(best, others.uniform)}};
    if (options.why) answer["why"] = why_json(run, model, best);
    print_json(answer);
  } else if (options.csv) {
    print_csv(rows);
  } else {
    print_table(run, best, rows, front, others);
    if (options.why) print_why(run, model, best, others);
  }
  if (!options.out.empty()) write_winner(run, best.bits, options.out);
  return 0;
}

}  // namespace

void add_rank(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, frame, "rank", "order the configurations of a search by what is wanted",
                  "Examples:\n  kronbit rank RUN\n  kronbit rank RUN --by accuracy --max-size 100KB --top 5\n"
                  "  kronbit rank RUN --by size --max-drop 0.5% --out best.json\n"
                  "  kronbit rank RUN --top 1 --why\n"
                  "  kronbit rank RUN --front --csv\n"
                  "  kronbit rank RUN --by latency --profile resnet20.json --max-drop 1%\n"
                  "Wishes not given here are those of the run. Accuracy is what the model expects at the last "
                  "task, on validation images.",
                  [&frame, options] { return run_rank(frame, *options); });
  command->add_option("RUN", options->run, "folder of a search")->required();
  add_wish_options(command, options->wish);
  command->add_option("--top", options->top, "how many to list (10; all of the front)");
  command->add_flag("--front", options->front,
                    "the whole front, smallest first: what no other is expected to beat at its size");
  command->add_option("--out", options->out, "write the first one as a bits.json, for --bits @FILE");
  command->add_flag("--why", options->why, "show what the first one's expectation rests on, and what its rivals cost");
  command->add_flag("--csv", options->csv, "comma-separated values")->excludes("--json");
}

}  // namespace kronbit::app
