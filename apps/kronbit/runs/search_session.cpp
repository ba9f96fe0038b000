#include "apps/kronbit/runs/search_session.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/kronbit/options/pictures.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/report.h"
#include "apps/kronbit/search/best.h"
#include "apps/kronbit/search/final_trainings.h"
#include "apps/kronbit/workers/words.h"
#include "nn/train.h"
#include "search/journal.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"

namespace kronbit::app {

PoolOptions pool_options(const SearchOptions& options) {
  PoolOptions pool;
  pool.workers = static_cast<int>(parse_int(options.workers, 1, 1024, "--workers"));
  pool.launch = split_words(options.launch, "--launch");
  if (!options.launch.empty() && pool.launch.empty())
    input_error("--launch", "wanted a command, got {}", quote(options.launch));
  if (!pool.launch.empty() && pool.launch[0].find("{worker}") == std::string::npos && !is_program(pool.launch[0]))
    input_error("--launch", "wanted a program, found no {}", quote(pool.launch[0]));
  pool.deadlines = Deadlines::parse(options.deadline);
  return pool;
}

FinalOptions final_options(const SearchOptions& options) {
  FinalOptions final;
  final.top = static_cast<int>(parse_int(options.final_top, 0, 100, "--final-top"));
  if (!options.final_epochs.empty()) final.epochs = parse_number(options.final_epochs, 1e-6, 1e6, "--final-epochs");
  nn::parse_schedule(options.final_schedule);
  final.schedule = options.final_schedule;
  final.seeds = static_cast<int>(parse_int(options.final_seeds, 1, 100, "--final-seeds"));
  return final;
}

namespace {

class Session {
 public:
  Session(const Frame& frame, const SearchOptions& options, SearchSettings settings)
      : frame_(frame),
        settings_(std::move(settings)),
        space_(make_space(settings_)),
        pool_(pool_options(options)),
        final_(final_options(options)),
        numerics_(numerics_of_run(frame, options.out, settings_.tune.precision)),
        run_(spec(options)),
        work_(run_.folder() / "work") {
    make_folder(work_);
    remove_stale_temporaries(work_);
    pool_.numerics = numerics_;
    for (const Json& line : run_.lines()) learn(line);
  }

  /// Nothing before the first result.
  std::optional<Outcome> outcome() const {
    const Finals finals = read_finals(run_.lines(), space_);
    Outcome o;
    if (const FinalRow* row = finals.champion(space_)) {
      o = {row->bits, row->cost.bytes, row->mean_validation(), 0, row->mean_top1()};
    } else if (const auto& best = run_.state().best()) {
      o = {candidates()[best->candidate].bits, candidates()[best->candidate].cost.bytes, best->accuracy, 0, {}};
    } else {
      return std::nullopt;
    }
    o.score = search::score(space_.goal, o.validation, o.bits, space_.cost_of(o.bits));
    return o;
  }

  int run(bool alone) {
    if (run_.resumed()) {
      tell("going on with {} evaluations{}\n", run_.state().evaluations(),
           run_.repaired() ? " (a torn last line was moved to journal.torn)" : "");
      publish_champion(run_, space_);
      if (run_.state().best()) refresh_best(*run_.state().best());
    }
    const auto ended = explore();
    space_.candidates = candidates();
    if (ended == search::Ended::Stopped) return stopped(alone);
    FinalsEnd finals;
    if (final_.top > 0 && run_.state().evaluations() > 0) finals = train_finals();
    if (finals.stopped) return stopped(alone);
    peak_bytes_ = std::max(peak_bytes_, finals.peak_bytes);
    clear_work(run_.folder());
    write_report(run_.folder());
    if (alone || !frame_.json) print_result();
    if (finals.input) throw InputError(finals.problem);
    if (!finals.problem.empty()) throw Error(finals.problem);
    return 0;
  }

 private:
  /// Those added on the way too.
  const std::vector<search::Candidate>& candidates() const { return run_.explorer().candidates(); }

  search::SearchSpec spec(const SearchOptions& options) const {
    Json settings = to_json(settings_);
    settings["numerics"] = to_json(numerics_);
    return {.folder = options.out,
            .resume = options.resume,
            .settings = std::move(settings),
            .notes = notes_of(options),
            .budget = search::Budget::parse(options.budget),
            .epochs = space_.epochs,
            .candidates = space_.candidates,
            .tries = space_.tries,
            .explorer = space_.explorer};
  }

  /// What later evaluations may be expected to take.
  void learn(const Json& line) {
    if (line["event"] == "evaluation")
      pool_.deadlines.learn(line["epochs"].get<double>(), line["seconds"].get<double>());
  }

  FinalsEnd train_finals() {
    try {
      adopt(numerics_);  // floating point is tested in this process
    } catch (const Refusal&) {
      // On a machine that only hands out the work: its workers say whether they can.
    }
    try {
      return run_finals(run_, settings_, space_, frame_, final_, pool_);
    } catch (const data::DamagedImage& e) {  // of the test split, which this process reads
      run_.record(input_line(e));
      throw;
    }
  }

  search::Ended explore() {
    ProcessEvaluator evaluator(job_of(settings_, frame_, pool_.workers), space_.epochs, work_, pool_);
    Progress progress(frame_, "search", run_.state().budget().evaluations > 0 ? "evaluations" : "seconds");
    search::Callbacks callbacks;
    callbacks.stop = [] { return stop_requested.load(); };
    callbacks.time_is_up = time_is_up;
    callbacks.journalled = [&](const Json& line, const search::Progress& p) { show(progress, line, p); };
    callbacks.improved = [&](const search::Best& best) { refresh_best(best); };
    const search::Ended ended = run_.explore(evaluator, callbacks);
    peak_bytes_ = evaluator.peak_bytes();
    return ended;
  }

  void show(Progress& progress, const Json& line, const search::Progress& p) {
    learn(line);
    if (line["event"] == "failed") progress.log(fmt::format("failed: {}", line.value("reason", "")));
    if (line["event"] == "evaluation") {
      progress.log(fmt::format("{:>4}  {:<32} {:>6} epochs  {:.2f} %  {:.0f} s", p.evaluations,
                               format_bits(line["bits"].get<Bits>()), line["epochs"].get<double>(),
                               100 * line["accuracy"].get<double>(), line["seconds"].get<double>()));
      // Only what best/ may need is kept. Evaluations that have finished out of order are not in the journal yet.
      const std::filesystem::path packed = packed_path(work_, line["bits"].get<Bits>(), line["task"].get<int>());
      std::error_code ignored;
      if (!p.best || packed != packed_of(*p.best)) std::filesystem::remove(packed, ignored);
    }
    const search::Budget& budget = run_.state().budget();
    const std::string note = p.best ? fmt::format("best {} {:.2f} %", format_bits(candidates()[p.best->candidate].bits),
                                                  100 * p.best->accuracy)
                                    : "";
    if (budget.evaluations > 0) {
      progress.update(p.evaluations, budget.evaluations, note);
    } else {
      progress.update(static_cast<int64_t>(p.seconds), static_cast<int64_t>(budget.seconds), note);
    }
  }

  std::filesystem::path packed_of(const search::Best& best) const {
    return packed_path(work_, candidates()[best.candidate].bits, best.task);
  }

  void refresh_best(const search::Best& best) {
    const std::filesystem::path packed = packed_of(best);
    if (!std::filesystem::exists(packed)) return;
    // A champion of final trainings stays until there is another.
    if (!read_finals(run_.lines(), space_).champion(space_)) publish_best(run_.folder(), packed);
    std::error_code ignored;
    if (!best_packed_.empty() && best_packed_ != packed) std::filesystem::remove(best_packed_, ignored);
    best_packed_ = packed;
  }

  int stopped(bool alone) {
    write_report(run_.folder());
    const std::string command = alone ? "kronbit search --resume --out " + shell_word(run_.folder().string())
                                      : "the same command with --resume";
    tell("{} after {} evaluations; {} goes on\n", stop_reason(), run_.state().evaluations(), command);
    return stop_exit_code();
  }

  void print_result() {
    const Finals finals = read_finals(run_.lines(), space_);
    const std::string report = (run_.folder() / "report.html").string();
    const std::optional<Outcome> answer = outcome();
    if (!frame_.json) {
      if (!finals.rows.empty()) fmt::print("{}", format_finals(finals));
      const std::string sentence = final_verdict(finals, space_);
      if (!sentence.empty()) fmt::print("{} {}\n", format_bits(finals.champion(space_)->bits), sentence);
      if (answer && !unmet_wish(space_.goal, answer->validation).empty())
        fmt::print("{}: {}\n", format_bits(answer->bits), unmet_wish(space_.goal, answer->validation));
      if (run_.state().exhausted())
        fmt::print("nothing is left to evaluate: the budget of {} is more than the search space has\n",
                   run_.state().budget().text());
      const std::string peak =
          peak_bytes_ > 0 ? fmt::format("peak memory of one {:.0f} MB, ", static_cast<double>(peak_bytes_) / 1e6) : "";
      fmt::print("{} evaluations in {}, {}best/ and report.html in {}\n", run_.state().evaluations(),
                 settings_.tune.precision, peak, run_.folder().string());
      return;
    }
    Json rows = Json::array();
    for (const FinalRow& row : finals.rows) {
      rows.push_back({{"kind", row.kind},
                      {"bits", row.bits},
                      {"accuracy", row.estimate},
                      {"accuracy_sd", row.sd},
                      {"top1", row.mean_top1()},
                      {"top1_sd", row.sd_top1()},
                      {"bytes", row.cost.bytes},
                      {"bops", row.cost.bops},
                      {"milliseconds", settings_.latency.known() ? Json(row.cost.milliseconds) : Json(nullptr)}});
    }
    print_json({{"evaluations", run_.state().evaluations()},
                {"precision", settings_.tune.precision},
                {"peak_bytes", peak_bytes_ > 0 ? Json(peak_bytes_) : Json(nullptr)},
                {"exhausted", run_.state().exhausted()},
                {"fp32_top1", finals.fp32_top1 ? Json(*finals.fp32_top1) : Json(nullptr)},
                {"finals", rows},
                {"verdict", final_verdict(finals, space_)},
                {"wish_met", answer ? wish_met(space_.goal, answer->validation) : Json(nullptr)},
                {"report", report}});
  }

  const Frame& frame_;
  SearchSettings settings_;
  SearchSpace space_;
  PoolOptions pool_;
  FinalOptions final_;
  Numerics numerics_;
  search::SearchRun run_;
  std::filesystem::path work_;
  int64_t peak_bytes_ = 0;             // of one evaluation or final training of this process; 0 = none has said
  std::filesystem::path best_packed_;  // what best/ was last made from
};

}  // namespace

void check_search(const SearchOptions& options) {
  pool_options(options);
  final_options(options);
  const auto check = [](const char* where, const std::string& text) {  // it reaches evaluations as JSON
    if (!is_utf8(text)) input_error(where, "wanted a path in UTF-8, got {}", quote(text, 200));
  };
  check("--out", options.out);
  check("--weights", options.settings.network.weights);
  check("--data", options.settings.data.data);
  std::error_code ignored;
  check("working folder", std::filesystem::current_path(ignored).string());
}

SearchEnd run_search(const Frame& frame, const SearchOptions& options, SearchSettings settings, bool alone) {
  Session session(frame, options, std::move(settings));
  const int code = session.run(alone);
  return {code, code == 0 ? session.outcome() : std::nullopt};
}

}  // namespace kronbit::app
