// Final trainings: which lines of a journal count, that best/ is the champion among them, and when one is trained.
#include "apps/kronbit/search/final_trainings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "nn/models/models.h"
#include "quant/bits_file.h"
#include "quant/packed.h"
#include "search/journal.h"
#include "tensor/io/crc32.h"
#include "tensor/io/file.h"
#include "tests/apps/fake_run.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

const Bits kA(10, 4), kB(10, 3), kC(10, 2);

/// A short search on toy10 that can be gone on with.
class FinalsOfARun : public testing::Test {
 protected:
  void SetUp() override {
    settings_ = fake_settings();
    settings_.network.net = "toy10";
    settings_.wish.by = "accuracy";
    make_fake_run(folder_, settings_, {.budget = "5evals", .finals = false});
    space_.emplace(make_space(settings_));
    run_.emplace(search::SearchSpec{.folder = folder_,
                                    .resume = true,
                                    .settings = to_json(settings_),
                                    .budget = search::Budget::parse("5evals"),
                                    .epochs = space_->epochs,
                                    .candidates = space_->candidates,
                                    .tries = space_->tries,
                                    .explorer = space_->explorer});
  }

  /// As a training writes it; "" is a journal from before schedules were written down.
  void record(const std::string& kind, const Bits& bits, double accuracy, double epochs = 1,
              const std::string& schedule = "cosine", int seed = 1) {
    Json line = {{"event", "final"},       {"kind", kind},     {"bits", bits},     {"seed", seed},
                 {"estimate", accuracy},   {"sd", 0.01},       {"epochs", epochs}, {"schedule", schedule},
                 {"validation", accuracy}, {"top1", accuracy}, {"top5", 0.99},     {"loss", 0.4},
                 {"images", 5000},         {"seconds", 20.0}};
    if (schedule.empty()) line.erase("schedule");
    run_->record(line);
  }

  /// What that training leaves.
  fs::path keep(const Bits& bits) {
    nn::Network net = nn::build("toy10");
    net.initialize(1);
    quant::assign_bits(net, bits);
    const fs::path path = final_path(folder_, bits, 1, {.epochs = 1, .schedule = "cosine"});
    fs::create_directories(path.parent_path());
    quant::pack(net).save(path);
    return path;
  }

  Finals read() const { return read_finals(run_->lines(), *space_); }

  fs::path folder_ = search::fresh_folder("finals");
  SearchSettings settings_;
  std::optional<SearchSpace> space_;
  std::optional<search::SearchRun> run_;
};

TEST_F(FinalsOfARun, TheChampionOfTheLastChoiceIsInBest) {
  EXPECT_FALSE(publish_champion(*run_, *space_));
  record("best 1", kA, 0.9);
  record("best 2", kB, 0.7);
  record("uniform", kB, 0.95);
  record("best 1", kC, 0.8);  // a longer search has chosen anew
  for (const Bits& bits : {kA, kB, kC}) keep(bits);
  EXPECT_TRUE(publish_champion(*run_, *space_));
  ASSERT_EQ(read().champion(*space_)->bits, kC);
  EXPECT_EQ(quant::read_bits_file(folder_ / "best" / "bits.json", space_->net).bits, kC);
  EXPECT_EQ(quant::PackedNetwork::load(folder_ / "best" / "model.safetensors").bits(), kC);
}

TEST_F(FinalsOfARun, TheChampionMayBeOneThatTheSearchMeasured) {
  record("best 1", kA, 0.7);
  record("measured", kB, 0.8);
  record("uniform", kC, 0.9);
  EXPECT_EQ(read().champion(*space_)->bits, kB);
}

TEST(Finals, TheIncumbentIsOnceAmongThem) {
  const fs::path folder = search::fresh_folder("incumbent");
  make_fake_run(folder, fake_settings(), {.budget = "8evals", .finals = false});
  const RunView run = open_run(folder);
  const Bits& incumbent = run.space.candidates[run.state.best()->candidate].bits;
  const auto kinds_of_it = [&](int top) {
    Words kinds;
    for (const FinalRow& row : choose_finals(run.space, run.state, {.top = top}))
      if (row.bits == incumbent) kinds.push_back(row.kind.substr(0, row.kind.find(' ')));
    return kinds;
  };
  EXPECT_EQ(kinds_of_it(1), Words{"measured"});
  EXPECT_EQ(kinds_of_it(static_cast<int>(run.space.candidates.size())), Words{"best"});
  const std::vector<FinalRow> rows = choose_finals(run.space, run.state, {.top = 1});
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].kind, "best 1");
  EXPECT_EQ(rows[1].cost.bytes, run.space.cost_of(incumbent).bytes);
}

/// Only one run has reached the last task, and it is outside the limits.
TEST(Finals, WhatIsNoAnswerIsNoIncumbent) {
  SearchSettings settings = fake_settings();
  const fs::path folder = search::fresh_folder("no_answer");
  const Bits eight(19, 8);
  settings.tries = {format_bits(eight)};
  settings.no_baselines = true;
  settings.wish.max_size = "120KB";
  make_fake_run(folder, settings, {.budget = "1evals", .finals = false});
  const RunView run = open_run(folder);
  ASSERT_EQ(run.space.candidates[run.state.best()->candidate].bits, eight);
  for (const FinalRow& row : choose_finals(run.space, run.state, {.top = 1})) EXPECT_NE(row.kind, "measured");
}

TEST_F(FinalsOfARun, OneLuckySeedMakesNoChampion) {
  record("best 1", kA, 0.9);
  record("best 1", kA, 0.6, 1, "cosine", 2);
  record("best 2", kB, 0.8);
  record("best 2", kB, 0.8, 1, "cosine", 2);
  EXPECT_EQ(read().champion(*space_)->bits, kB);
}

TEST_F(FinalsOfARun, WorkKeepsWhatALongerSearchMayNeed) {
  const fs::path kept = keep(kA), evaluation = packed_path(folder_ / "work", kA, 0);
  write_file(evaluation, "packed");
  write_file(folder_ / "work" / "reference.safetensors", "logits");
  clear_work(folder_);
  EXPECT_TRUE(fs::exists(kept));
  EXPECT_FALSE(fs::exists(evaluation));
  EXPECT_FALSE(fs::exists(folder_ / "work" / "reference.safetensors"));
  const fs::path foreign = folder_ / "work" / "thesis" / "chapter.tex";
  fs::create_directories(foreign.parent_path());
  write_file(foreign, "mine");
  clear_work(folder_);
  EXPECT_TRUE(fs::exists(foreign));
  fs::remove_all(foreign.parent_path());
  fs::remove(kept);
  clear_work(folder_);
  EXPECT_FALSE(fs::exists(folder_ / "work"));
}

TEST_F(FinalsOfARun, TrainingsOfOtherLengthOrScheduleAreNoSeeds) {
  record("best 1", kA, 0.5, 0.25, "");
  record("best 2", kB, 0.6, 0.25, "");
  EXPECT_EQ(read().rows.size(), 2u);
  EXPECT_EQ(read().tuning.schedule, "cosine");
  record("best 1", kA, 0.7, 1);
  ASSERT_EQ(read().rows.size(), 1u);
  EXPECT_EQ(read().rows[0].top1, std::vector{0.7});
  EXPECT_EQ(read().tuning.epochs, 1);
  record("best 1", kA, 0.8, 1, "constant");
  EXPECT_EQ(read().rows[0].top1, std::vector{0.8});
  record("best 1", kA, 0.5, 0.25);
  ASSERT_EQ(read().rows.size(), 2u);
  EXPECT_EQ(read().rows[0].top1, std::vector{0.5});
}

TEST(Finals, OfJournalsWithoutSchedulesAreRead) {
  const RunView run = open_run(KRONBIT_SOURCE_DIR "/docs/results/resnet20-cifar10");
  const Finals finals = read_finals(run.lines, run.space);
  EXPECT_EQ(finals.rows.size(), 4u);
  EXPECT_EQ(finals.tuning.epochs, 1);
  EXPECT_EQ(finals.tuning.schedule, "cosine");
}

/// A toy10 with random weights. Made once.
std::string toy_weights() {
  const fs::path weights = scratch() / "toy10.safetensors";
  if (!fs::exists(weights)) {
    const Ended end = kronbit(words("train --net toy10 --data synthetic:200 --validation train:20 --epochs 0 --out",
                                    {fresh("toy10").string()}));
    EXPECT_EQ(end.code, 0) << end.err;
    fs::copy_file(scratch() / "toy10" / "best" / "weights.safetensors", weights);
  }
  return weights.string();
}

TEST_F(FinalsOfARun, OfOtherWeightsOrDataAreNotBegun) {
  settings_.network.weights = toy_weights();
  settings_.data.data = "synthetic:200";
  settings_.data.validation = "train:20";
  const auto refusal = [&] {
    return testing::Throws<Refusal>(testing::Property(
        &Refusal::what,
        testing::HasSubstr(settings_.weights_crc == "crc32:00000000" ? "other weights: wanted crc32:0"
                                                                     : "other data: wanted none, has")));
  };
  const auto begin = [&] { run_finals(*run_, settings_, *space_, Frame{}, FinalOptions{}, PoolOptions{}); };
  EXPECT_THAT(begin, refusal());
  settings_.weights_crc = "crc32:" + hex_of(crc32_of_file(settings_.network.weights));
  EXPECT_THAT(begin, refusal());
}

/// A search on toy10 of which all candidates have 4 bits.
Words four_bits(const fs::path& out) {
  return words(
      "search --net toy10 --data synthetic:200 --validation train:20 --tasks 0,0.1 --budget 1evals --bits-min 4 "
      "--bits-max 4 --no-baselines --probe 0 --final-top 1 --threads 1",
      {"--weights", toy_weights(), "--out", out.string()});
}

TEST(SearchSpace, ThatIsExhaustedIsTold) {
  const fs::path run = fresh("exhausted");
  Words arguments = with_flag(with_flag(four_bits(run), "--budget", "50evals"), "--final-top", "0");
  const Ended end = kronbit(arguments);
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_THAT(end.out, testing::HasSubstr("nothing is left to evaluate: the budget of 50 evaluations is more than"));
  const Json status = kronbit_json({"status", run.string()});
  EXPECT_EQ(status["exhausted"], true);
  EXPECT_EQ(status["fraction"], 1.0);
  EXPECT_EQ(status["eta_seconds"], 0.0);
  EXPECT_THAT(kronbit({"status", run.string()}).out, testing::HasSubstr("nothing is left to evaluate"));
  EXPECT_THAT(file_text(run / "report.html"), testing::HasSubstr("nothing is left to evaluate"));
  arguments = with_flag(arguments, "--budget", "60evals");
  arguments.emplace_back("--resume");
  EXPECT_EQ(kronbit_json(arguments)["exhausted"], true);
}

std::vector<Json> final_lines(const fs::path& run) {
  std::vector<Json> lines = search::read_journal(run).lines;
  std::erase_if(lines, [](const Json& line) { return line["event"] != "final"; });
  return lines;
}

TEST(SearchFinals, OneTrainingServesAllRowsOfTheSameBits) {
  const fs::path run = fresh("one_training");
  const Json result = kronbit_json(four_bits(run));
  ASSERT_EQ(result["finals"].size(), 3u);
  const std::vector<Json> lines = final_lines(run);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_GT(lines[0]["seconds"], 0);
  for (size_t i = 1; i < 3; ++i) {
    EXPECT_EQ(lines[i]["bits"], lines[0]["bits"]);
    EXPECT_EQ(lines[i]["top1"], lines[0]["top1"]);
    EXPECT_EQ(lines[i]["seconds"], 0) << "trained again";
  }
}

TEST(SearchFinals, OtherEpochsAndSchedulesAreTrainedOnResume) {
  const fs::path run = fresh("other_epochs");
  Words arguments = four_bits(run);
  kronbit_json(arguments);
  arguments.emplace_back("--resume");
  const auto expect_rows = [&](const Json& result, double epochs, const char* schedule) {
    ASSERT_EQ(result["finals"].size(), 3u);
    for (const Json& row : result["finals"]) EXPECT_EQ(row["top1_sd"], 0) << "averaged with another training";
    const Json line = final_lines(run).back();
    EXPECT_EQ(line["epochs"], epochs);
    EXPECT_EQ(line["schedule"], schedule);
    EXPECT_EQ(result["finals"][0]["top1"], line["top1"]);
  };
  expect_rows(kronbit_json(with_flag(arguments, "--final-epochs", "0.3")), 0.3, "cosine");
  EXPECT_EQ(final_lines(run).size(), 6u);
  expect_rows(kronbit_json(with_flag(with_flag(arguments, "--final-epochs", "0.3"), "--final-schedule", "constant")),
              0.3, "constant");
  EXPECT_EQ(final_lines(run).size(), 9u);
  EXPECT_GT(final_lines(run)[6]["seconds"], 0);
  kronbit_json(arguments);  // as it was gone on with last
  EXPECT_EQ(final_lines(run).size(), 9u) << "nothing is left to do";
  // As it began: known, so not trained again.
  expect_rows(kronbit_json(with_flag(with_flag(arguments, "--final-epochs", "0.1"), "--final-schedule", "cosine")), 0.1,
              "cosine");
  EXPECT_EQ(final_lines(run).back()["seconds"], 0);
}

TEST(SearchFinals, WhatTheyLeftIsThereForALongerSearch) {
  const fs::path run = fresh("longer");
  Words arguments = four_bits(run);
  kronbit_json(arguments);
  const uint32_t champion = crc32_of_file(run / "best" / "model.safetensors");
  EXPECT_FALSE(fs::exists(run / "work" / "reference.safetensors"));
  // Its evaluations do not take the champion's place, even if best/ has lost it.
  fs::remove_all(run / "best");
  arguments = with_flag(arguments, "--final-top", "0");
  arguments.emplace_back("--resume");
  kronbit_json(arguments);
  EXPECT_EQ(crc32_of_file(run / "best" / "model.safetensors"), champion);
}

TEST_F(FinalsOfARun, TheTableIsThatOfTheLastChoice) {
  const auto choose = [&](const std::vector<std::pair<std::string, Bits>>& rows, double epochs = 1) {
    Json chosen = Json::array();
    for (const auto& [kind, bits] : rows) chosen.push_back({{"kind", kind}, {"bits", bits}});
    run_->record({{"event", "finals"}, {"epochs", epochs}, {"schedule", "cosine"}, {"rows", chosen}});
  };
  const auto kinds = [&] {
    std::string all;
    for (const FinalRow& row : read().rows) all += row.kind + " " + format_bits(row.bits) + ", ";
    return all;
  };
  choose({{"best 1", kA}, {"best 2", kB}, {"uniform", kC}});
  record("best 1", kA, 0.7);
  record("uniform", kC, 0.7);
  record("best 2", kB, 0.7);
  const std::string first = kinds();
  EXPECT_EQ(first, "best 1 4x10, best 2 3x10, uniform 2x10, ");
  choose({{"best 1", kB}, {"uniform", kC}});
  EXPECT_EQ(kinds(), first) << "nothing has taken its place yet";
  record("best 1", kB, 0.6);
  EXPECT_EQ(kinds(), "best 1 3x10, uniform 2x10, ");
  choose({{"best 1", kA}}, 2);
  EXPECT_EQ(kinds(), "best 1 3x10, uniform 2x10, ") << "of other epochs, and nothing is trained";
  record("best 1", kA, 0.8, 2);
  EXPECT_EQ(kinds(), "best 1 4x10, ");
}

/// A search whose launcher trains nothing: evaluations of 6 bits in the first layer reach 60 %, final trainings too, but
/// those of the bits `breaks` fail as `fault` says; their jobs are kept in `log`.
Words played(const fs::path& out, const fs::path& log, const std::string& breaks,
             const std::string& fault = "training") {
  const fs::path script = scratch() / "play.sh";
  write_file(script, R"(read -r job
printf '\nkronbit-begins {"host":"stage","pid":1}\n'
case "$job" in
  *'"bits":'"$2"*'"test":true'*)
    printf '%s\n' "$job" >>"$1"
    printf '\nkronbit-result {"fault":"%s","reason":"the loss is not finite"}\n' "$3" ;;
  *)
    bits=${job#*'"bits":['}
    printf '\nkronbit-result {"result":{"accuracies":[0.%s],"losses":[1],"kl":[0.1],' "${bits%%,*}"
    printf '"test":{"top1":0.6,"top5":0.9,"loss":1,"images":20}}}\n' ;;
esac
)");
  return words(
      "search --net toy10 --data synthetic:200 --validation train:20 --tasks 0 --budget 4evals --no-baselines "
      "--probe 0 --final-top 3 --threads 1 --quiet --resume",
      {"--weights", toy_weights(), "--out", out.string(), "--launch",
       fmt::format("sh {} {} '{}' {}", script.string(), log.string(), breaks, fault)});
}

std::vector<Json> jobs_in(const fs::path& log) {
  std::vector<Json> lines;
  const std::string text = file_text(log);
  for (const Line& line : split_lines(text)) lines.push_back(parse_json(std::string(line.text), "log"));
  return lines;
}

TEST(SearchFinals, OneThatBreaksDownLeavesTheOthersTheirRows) {
  const Json whole = kronbit_json(played(fresh("unharmed"), fresh("unharmed.log"), "none"))["finals"];
  ASSERT_EQ(whole.size(), 6u);
  const Json bad = whole[1]["bits"];
  const fs::path run = fresh("breaks_down"), log = fresh("breaks_down.log");
  Words arguments = played(run, log, bad.dump());
  arguments.insert(arguments.end(), {"--workers", "2", "--json"});
  Json others = Json::array();
  for (const Json& row : whole)
    if (row["bits"] != bad) others.push_back(row);
  for (const size_t attempts : {3u, 6u}) {
    const Ended end = kronbit(arguments);
    EXPECT_EQ(end.code, 1);
    EXPECT_THAT(end.err, testing::HasSubstr("kronbit: [search] the final training of " + format_bits(bad.get<Bits>()) +
                                            " failed: the loss is not finite"));
    EXPECT_EQ(parse_json(end.out, "stdout")["finals"], others);
    const Json status = kronbit_json({"status", run.string()});
    EXPECT_EQ(status["finals_failed"], 1);
    EXPECT_EQ(status["best"]["top1"], 0.6);
    const Bits best = status["best"]["bits"].get<Bits>();
    const RunView view = open_run(run);
    EXPECT_EQ(best, read_finals(view.lines, view.space).champion(view.space)->bits);
    EXPECT_THAT(kronbit({"status", run.string()}).out,
                testing::HasSubstr(fmt::format("{} final trainings, 1 failed", others.size())));
    const std::string page = file_text(run / "report.html");
    EXPECT_THAT(page, testing::HasSubstr("1 final training failed, the last of"));
    EXPECT_THAT(page, testing::HasSubstr("Failed attempts"));
    std::set<Json> seeds;
    for (const Json& job : jobs_in(log)) seeds.insert(job["seed"]);
    EXPECT_EQ(seeds.size(), attempts) << "the same seed would break down again";
  }
  EXPECT_EQ(kronbit_json(played(run, log, "none"))["finals"], whole);
  EXPECT_EQ(kronbit_json({"status", run.string()})["finals_failed"], 0);
  EXPECT_THAT(file_text(run / "report.html"), testing::Not(testing::HasSubstr("Failed attempts")));
}

TEST(SearchFinals, RefusedTheyEnd) {
  const fs::path run = fresh("refused_final"), log = fresh("refused_final.log");
  const Ended end = kronbit(played(run, log, "", "refused"));
  EXPECT_EQ(end.code, 1);
  EXPECT_THAT(end.err, testing::HasSubstr("failed: the loss is not finite; --resume tries again"));
  EXPECT_EQ(jobs_in(log).size(), 3u) << "another was begun";
  EXPECT_TRUE(final_lines(run).empty());
  EXPECT_EQ(kronbit_json(played(run, log, "none"))["finals"].size(), 6u);
}

TEST(SearchFinals, ALaterChoiceTakesTheWholeTable) {
  const fs::path run = fresh("later_choice"), log = fresh("later_choice.log");
  const auto kinds = [](const Json& result) {
    Words all;
    for (const Json& row : result["finals"]) all.push_back(row["kind"].get<std::string>());
    return all;
  };
  EXPECT_EQ(kinds(kronbit_json(played(run, log, "none"))),
            (Words{"best 1", "best 2", "best 3", "measured", "uniform", "reversed"}));
  const Words three = {"best 1", "best 2", "best 3", "uniform", "reversed"}, one = {"best 1", "uniform", "reversed"};
  const Words longer = with_flag(played(run, log, "none"), "--budget", "8evals");
  EXPECT_EQ(kinds(kronbit_json(with_flag(longer, "--final-top", "1"))), one);
  const size_t lines = search::read_journal(run).lines.size();
  EXPECT_EQ(kinds(kronbit_json(with_flag(longer, "--final-top", "1"))), one);
  EXPECT_EQ(search::read_journal(run).lines.size(), lines);
  EXPECT_EQ(kinds(kronbit_json(longer)), three);
}

TEST(SearchFinals, TellAWishThatNothingReached) {
  Words arguments = played(fresh("wish"), fresh("wish.log"), "none");
  const Words wished = with_flag(arguments, "--min-accuracy", "0.9");
  const Ended end = kronbit(wished);
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_THAT(end.out, testing::HasSubstr(": wanted at least 90.00 % on validation images; nothing reached it"));
  EXPECT_EQ(kronbit_json(wished)["wish_met"], false);
  arguments = with_flag(played(fresh("met"), fresh("met.log"), "none"), "--min-accuracy", "0.3");
  EXPECT_THAT(kronbit(arguments).out, testing::Not(testing::HasSubstr("wanted at least")));
  EXPECT_EQ(kronbit_json(arguments)["wish_met"], true);
}

TEST(SearchFinals, WithoutThemThereIsNoTable) {
  const Ended end = kronbit(with_flag(played(fresh("no_table"), fresh("no_table.log"), "none"), "--final-top", "0"));
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_THAT(end.out, testing::Not(testing::HasSubstr("GP estimate")));
}

}  // namespace
}  // namespace kronbit::app
