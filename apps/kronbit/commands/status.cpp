// kronbit status: where a run stands. Reads the journal only, without a lock, so it is safe while the run goes on.
#include <chrono>
#include <set>

#include "apps/kronbit/made_by.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/search/finals.h"
#include "apps/kronbit/search/run_view.h"
#include "apps/kronbit/search/search_options.h"
#include "search/journal.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"

namespace kronbit::app {
namespace {

/// Seconds since the journal last grew.
double silence(const std::filesystem::path& folder) {
  std::error_code error;
  const auto written = std::filesystem::last_write_time(folder / search::kJournalName, error);
  if (error) return 0;
  return std::chrono::duration<double>(std::filesystem::file_time_type::clock::now() - written).count();
}

Json common_status(const std::filesystem::path& folder, const std::vector<Json>& lines) {
  const std::optional<std::string> holder = lock_holder(folder);
  return {{"run", folder.string()},
          {"running", holder ? Json(*holder) : Json(nullptr)},
          {"last_event", lines.back()["event"]},
          {"last_event_seconds_ago", silence(folder)},
          {"made_by", makers_of(lines)}};
}

/// Seconds until the budget is spent, were the rest like the last evaluations; they ran side by side on as many workers
/// as have signed them.
double time_left(const RunView& run) {
  constexpr size_t kRecent = 12;
  double seconds = 0;
  size_t count = 0;
  std::set<std::string> workers;
  for (size_t i = run.lines.size(); i-- > 0 && count < kRecent;) {
    const Json& line = run.lines[i];
    if (line["event"] != "evaluation") continue;
    seconds += get_number(line, "seconds", 0, 1e12, "journal");
    const std::string worker = get_string(line, "worker", "journal");  // "0 node7": its number, then where it ran
    workers.insert(worker.substr(0, worker.find(' ')));
    ++count;
  }
  if (count == 0 || run.state.exhausted()) return 0;
  const search::Budget& budget = run.state.budget();
  const double left = budget.evaluations > 0 ? seconds / static_cast<double>(count) *
                                                   static_cast<double>(budget.evaluations - run.state.evaluations())
                                             : budget.seconds - run.state.seconds();
  return std::max(0.0, left) / static_cast<double>(workers.size());
}

/// What best/ is made of: the champion of the final trainings, before there is one the best of the search.
Json best_of(const RunView& run, const Finals& finals) {
  if (const FinalRow* champion = finals.champion(run.space)) {
    return {{"bits", champion->bits},
            {"text", format_bits(champion->bits)},
            {"accuracy", champion->mean_validation()},
            {"task", nullptr},
            {"epochs", finals.tuning.epochs},
            {"bytes", champion->cost.bytes},
            {"top1", champion->mean_top1()}};
  }
  const std::optional<search::Best>& best = run.state.best();
  if (!best) return nullptr;
  const search::Candidate& c = run.space.candidates[best->candidate];
  return {{"bits", c.bits},
          {"text", format_bits(c.bits)},
          {"accuracy", best->accuracy},
          {"task", best->task},
          {"epochs", run.space.epochs[static_cast<size_t>(best->task)]},
          {"bytes", c.cost.bytes},
          {"top1", nullptr}};
}

Json search_status(const std::filesystem::path& folder) {
  const RunView run = open_run(folder);
  const search::Budget& budget = run.state.budget();
  int64_t finals = 0;
  for (const Json& line : run.lines) finals += line["event"] == "final";
  const Json best = best_of(run, read_finals(run.lines, run.space));
  const search::Goal& goal = run.space.goal;
  Json status = common_status(folder, run.lines);
  status.update({{"kind", "search"},
                 {"evaluations", run.state.evaluations()},
                 {"budget", budget.evaluations > 0 ? Json(budget.evaluations) : Json(nullptr)},
                 {"budget_seconds", budget.seconds > 0 ? Json(budget.seconds) : Json(nullptr)},
                 {"fraction", run.state.exhausted() ? 1.0 : run.state.budget_fraction()},
                 {"exhausted", run.state.exhausted()},
                 {"failed", run.state.failed()},
                 {"seconds", run.state.seconds()},
                 {"eta_seconds", time_left(run)},
                 {"finals", finals},
                 {"finals_failed", failed_trainings(open_failures(run.lines))},
                 {"best", best},
                 {"wish_met", best.is_null() ? Json(nullptr) : wish_met(goal, best["accuracy"].get<double>())},
                 {"wish", best.is_null() ? "" : unmet_wish(goal, best["accuracy"].get<double>())},
                 {"command", command_of_run(run.lines, folder.string())}});
  return status;
}

Json training_status(const std::filesystem::path& folder, const std::vector<Json>& lines) {
  const std::string where = (folder / search::kJournalName).string();
  const Json& settings = get_object(lines[0], "settings", where);
  const double epochs = parse_number(get_string(settings, "epochs", where), 0, 1e6, "epochs");
  double done = 0, seconds = 0, best = 0;
  Json test = nullptr;
  for (const Json& line : lines) {
    if (line["event"] == "epoch") {
      done = get_number(line, "epoch", 0, 1e9, where);
      seconds += get_number(line, "seconds", 0, 1e12, where);
      best = std::max(best, get_number(line, "val_top1", 0, 1, where));
    }
    if (line["event"] == "untrained") best = get_number(line, "val_top1", 0, 1, where);
    if (line["event"] == "test") test = get_number(line, "top1", 0, 1, where);
  }
  Json status = common_status(folder, lines);
  status.update({{"kind", "training"},
                 {"epoch", done},
                 {"epochs", epochs},
                 {"fraction", epochs > 0 ? std::min(1.0, done / epochs) : 1.0},
                 {"seconds", seconds},
                 {"eta_seconds", done > 0 ? std::max(0.0, epochs - done) * seconds / done : 0.0},
                 {"best_val_top1", best},
                 {"test_top1", test}});
  return status;
}

std::string percent_of(const Json& fraction) { return fmt::format("{:.2f} %", 100 * fraction.get<double>()); }

void print_search(const Json& s) {
  const std::string budget = s["budget"].is_null()
                                 ? duration_text(s["budget_seconds"].get<double>()) + " of evaluations"
                                 : fmt::format("{} evaluations", s["budget"].get<int64_t>());
  if (s["exhausted"] == true) fmt::print("space      nothing is left to evaluate, whatever the budget\n");
  const auto failed = s["finals_failed"].get<int64_t>();
  fmt::print("progress   {} of {}: {} evaluations done, {} attempts failed, {} final trainings{}\n",
             percent_of(s["fraction"]), budget, s["evaluations"].get<int64_t>(), s["failed"].get<int64_t>(),
             s["finals"].get<int64_t>(), failed > 0 ? fmt::format(", {} failed", failed) : "");
  if (const Json& best = s["best"]; !best.is_null()) {
    fmt::print("best       {}  {} after {:g} epochs (validation), {}{:.4f} MB\n", best["text"].get<std::string>(),
               percent_of(best["accuracy"]), best["epochs"].get<double>(),
               best["top1"].is_null() ? "" : percent_of(best["top1"]) + " on the test split, ",
               best["bytes"].get<double>() / 1e6);
  }
  if (const auto& wish = s["wish"].get_ref<const std::string&>(); !wish.empty()) fmt::print("wish       {}\n", wish);
}

void print_training(const Json& s) {
  fmt::print("progress   {}: epoch {:g} of {:g}\n", percent_of(s["fraction"]), s["epoch"].get<double>(),
             s["epochs"].get<double>());
  fmt::print("best       {} (validation)", percent_of(s["best_val_top1"]));
  if (!s["test_top1"].is_null()) fmt::print(", {} on the test split", percent_of(s["test_top1"]));
  fmt::print("\n");
}

int print_command(const std::string& folder, const std::vector<Json>& lines) {
  fmt::print("{}\n", printable(command_of_run(lines, folder)));
  for (const std::string& doubt : doubts_of_command(lines, folder)) tell("{}\n", doubt);
  return 0;
}

int run(const Frame& frame, const std::string& folder, bool command) {
  const search::JournalContent content = search::read_journal(folder);
  if (content.lines.empty()) input_error(folder, "wanted the folder of a run, found no journal in it");
  if (command && !frame.json) return print_command(folder, content.lines);
  const bool search = has(get_object(content.lines[0], "settings", folder), "curve");
  const Json status = search ? search_status(folder) : training_status(folder, content.lines);
  if (frame.json) {
    print_json(status);
    return 0;
  }
  const Json& holder = status["running"];
  fmt::print("run        {} ({})\n", printable(folder), status["kind"].get<std::string>());
  fmt::print("state      {}\n",
             holder.is_null() ? "nobody is running it" : "running: " + printable(holder.get<std::string>()));
  search ? print_search(status) : print_training(status);
  const double eta = status["eta_seconds"].get<double>();
  fmt::print("time       {} spent{}\n", duration_text(status["seconds"].get<double>()),
             eta > 0 ? ", about " + duration_text(eta) + " to go" : "");
  fmt::print("last event {}, {} ago\n", printable(status["last_event"].get<std::string>()),
             duration_text(status["last_event_seconds_ago"].get<double>()));
  for (const Json& by : status["made_by"]) fmt::print("made by    {}\n", printable(maker_text(by)));
  return 0;
}

}  // namespace

void add_status(CLI::App& app, Frame& frame) {
  auto folder = std::make_shared<std::string>();
  auto only_command = std::make_shared<bool>(false);
  CLI::App* command =
      add_command(app, frame, "status", "where a run stands; safe while it runs",
                  "Examples:\n  kronbit status RUN\n  kronbit status RUN --json\n  kronbit status RUN --command",
                  [&frame, folder, only_command] { return run(frame, *folder, *only_command); });
  command->add_option("RUN", *folder, "folder of a search or a training")->required();
  command->add_flag("--command", *only_command, "print the command that makes a search again, in the folder RUN-again");
}

}  // namespace kronbit::app
