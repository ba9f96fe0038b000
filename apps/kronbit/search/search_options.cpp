#include "apps/kronbit/search/search_options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "apps/kronbit/made_by.h"
#include "apps/kronbit/search/finals.h"
#include "apps/kronbit/stop.h"
#include "apps/kronbit/workers/words.h"
#include "search/journal.h"
#include "search/state.h"

namespace kronbit::app {
namespace {

constexpr const char* kWhere = "journal";

/// Text options that are notes, and where they live: one list for writing and reading.
std::vector<std::pair<const char*, std::string*>> noted_fields(SearchOptions& o) {
  return {{"final_top", &o.final_top},     {"final_epochs", &o.final_epochs},     {"final_schedule", &o.final_schedule},
          {"final_seeds", &o.final_seeds}, {"profile", &o.settings.wish.profile}, {"kernel", &o.kernel}};
}

std::string budget_option(const search::Budget& budget) {
  return budget.evaluations > 0 ? fmt::format("{}evals", budget.evaluations) : fmt::format("{}s", budget.seconds);
}

/// From the final trainings themselves. Without any the options stay as they are.
void take_finals(SearchOptions& o, const std::vector<Json>& lines) {
  const auto is_final = [](const Json& line) { return line["event"] == "final"; };
  const auto last = std::find_if(lines.rbegin(), lines.rend(), is_final);
  if (last == lines.rend()) return;
  const FinalTuning tuning = tuning_of(*last);
  std::set<std::string> best;
  std::set<int64_t> seeds;
  for (const Json& line : lines) {
    if (!is_final(line) || tuning_of(line) != tuning) continue;
    const std::string& kind = get_string(line, "kind", kWhere);
    if (kind.starts_with("best")) best.insert(kind);
    seeds.insert(get_int(line, "seed", 0, INT64_MAX, kWhere));
  }
  o.final_top = fmt::format("{}", best.size());
  o.final_epochs = fmt::format("{}", tuning.epochs);
  o.final_schedule = tuning.schedule;
  o.final_seeds = fmt::format("{}", seeds.size());
}

/// Options whose values are no single text, as words.
std::vector<std::string> lists_and_flags(const SearchSettings& s) {
  std::vector<std::string> words;
  for (const auto& [name, values] : {std::pair{"--fix", &s.rules.fix}, {"--tie", &s.rules.tie}, {"--try", &s.tries}})
    for (const std::string& value : *values) words.insert(words.end(), {name, value});
  if (s.data.skip_bad) words.emplace_back("--skip-bad");
  if (s.refine) words.emplace_back("--refine");
  if (s.no_baselines) words.emplace_back("--no-baselines");
  return words;
}

}  // namespace

void add_search_options(CLI::App* command, SearchOptions& o) {
  add_search_settings(command, o.settings);
  for (const char* name : {"--net", "--weights"}) command->get_option(name)->required(false);  // a run may have them
  command->add_option("--budget", o.budget, "in all, over resumes: 65evals, 30min, 2h");
  command->add_option("--out", o.out, "run folder");
  command->add_flag("--resume", o.resume,
                    "go on with the run in --out, if there is one; options that are not given are the run's");
  command->add_flag("--dry-run", o.dry_run,
                    "show space, costs, first round, and the time, memory and disk that the search takes here; write "
                    "nothing");
  add_time_limit_option(command, o.time_limit);
  command->add_option("--workers", o.workers, "evaluations at the same time");
  command
      ->add_option("--launch", o.launch,
                   "run command put before each evaluation: \"srun --exclusive -N1 -n1\"; {worker} is its number")
      ->check(not_empty());
  command->add_option("--deadline", o.deadline,
                      "of one evaluation: auto (10 times what is expected), 0 (none) or a time such as 10min");
  command->add_option("--final-top", o.final_top,
                      "first of the ranking to fine-tune and test at the end, beside the best measured");
  command->add_option("--final-epochs", o.final_epochs, "of that fine-tuning (default: the last task's)");
  command->add_option("--final-schedule", o.final_schedule, "learning rate of that fine-tuning");
  command->add_option("--final-seeds", o.final_seeds, "trainings of each, for mean and sd");
  command->add_option("--replicates", o.replicates,
                      "searches with as many seeds, in OUT/seed-S each; ends with their spread");
}

Json notes_of(const SearchOptions& options) {
  SearchOptions o = options;
  if (!o.settings.wish.profile.empty())
    o.settings.wish.profile = std::filesystem::absolute(o.settings.wish.profile).lexically_normal().string();
  Json noted = Json::object();
  for (const auto& [key, value] : noted_fields(o)) noted[key] = *value;
  return {{"made_by", made_by()}, {"options", std::move(noted)}};
}

SearchOptions options_of_run(const std::vector<Json>& lines, const std::string& folder) {
  SearchOptions o;
  o.settings = settings_from_json(settings_of_search(lines, folder), kWhere);
  for (const Json& line : lines)
    if (line["event"] == "settings" || line["event"] == "budget")
      o.budget = budget_option(search::budget_of(line, kWhere));
  if (const Json* noted = search::find_note(lines, "options")) {
    for (const auto& [key, value] : noted_fields(o)) *value = get_string(*noted, key, kWhere);
  } else {
    take_finals(o, lines);
  }
  return o;
}

SearchOptions given_over(const CLI::App& command, SearchOptions began_with) {
  CLI::App again;
  add_search_options(&again, began_with);
  for (CLI::Option* option : again.get_options()) {
    const CLI::Option* given = command.get_option(option->get_name());
    if (given->count() == 0) continue;
    option->add_result(given->results());
    option->run_callback();
  }
  return began_with;
}

std::string command_text(const SearchOptions& options) {
  SearchOptions these = options, usual;
  these.out.clear();     // comes last
  usual.budget.clear();  // is always shown
  // The parser itself knows each option's name and the text of its value.
  CLI::App app, usual_app;
  for (auto [parser, values] : {std::pair{&app, &these}, {&usual_app, &usual}}) {
    parser->option_defaults()->always_capture_default();
    add_search_options(parser, *values);
  }
  std::vector<std::string> words = {"kronbit", "search"};
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name(), value = option->get_default_str();
    const bool single = option->get_items_expected_max() == 1;
    if (single && value != usual_app.get_option(name)->get_default_str()) words.insert(words.end(), {name, value});
  }
  const std::vector<std::string> more = lists_and_flags(these.settings);
  words.insert(words.end(), more.begin(), more.end());
  if (!options.kernel.empty()) words.insert(words.end(), {"--kernel", options.kernel});
  words.insert(words.end(), {"--out", options.out});
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + shell_word(word);
  return text;
}

std::string command_of_run(const std::vector<Json>& lines, const std::string& folder) {
  SearchOptions o = options_of_run(lines, folder);
  o.out = folder.substr(0, folder.find_last_not_of('/') + 1) + "-again";
  if (o.settings.latency.known() && o.settings.wish.profile.empty()) o.settings.wish.profile = "profile.json";
  // The same plans need the same costs, and not those that the clock tells this time.
  if (!o.settings.measured_costs.empty())
    o.settings.cost = fmt::format("{}", fmt::join(o.settings.measured_costs, ","));
  return command_text(o);
}

std::vector<std::string> doubts_of_command(const std::vector<Json>& lines, const std::string& folder) {
  const SearchOptions o = options_of_run(lines, folder);
  std::vector<std::string> doubts;
  if (o.settings.space != kSpace)
    doubts.emplace_back("the run's candidates were chosen by an earlier rule: begun now, the command tries others");
  if (o.settings.latency.known() && o.settings.wish.profile.empty())
    doubts.emplace_back("the run does not say where its profile was: profile.json stands for it");
  if (o.settings.data.skip_bad && !o.settings.data.left_out.value_or(std::vector<std::string>{}).empty())
    doubts.emplace_back("the run left damaged pictures out: begun now, --skip-bad looks for them again");
  return doubts;
}

}  // namespace kronbit::app
