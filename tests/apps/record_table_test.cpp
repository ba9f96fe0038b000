// The recorder of tables as its users run it: cut off in every way it goes on with what it has; and what an evaluation
// reports beside accuracies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <set>

#include "apps/experiments/common/table_file.h"
#include "apps/experiments/common/table_plan.h"
#include "apps/kronbit/evaluation/evaluation.h"
#include "apps/kronbit/evaluation/reference.h"
#include "nn/models/models.h"
#include "nn/state_dict.h"
#include "tensor/io/parse.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

using namespace experiments;
using testing::HasSubstr;

fs::path toy_weights() {
  static const fs::path path = [] {
    nn::Network net = nn::build("toy10");
    net.initialize(7);
    nn::save_state_dict(net, scratch() / "toy.safetensors", {});
    return scratch() / "toy.safetensors";
  }();
  return path;
}

Words recording(const fs::path& out, const Words& more = {}) {
  Words all = {"--net",
               "toy10",
               "--weights",
               toy_weights().string(),
               "--data",
               "synthetic:100",
               "--tasks",
               "0,0.5",
               "--out",
               out.string(),
               "--configurations",
               "14",
               "--seeds",
               "2",
               "--batch",
               "20",
               "--lr",
               "0.01",
               "--validation",
               "train:20"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}
Ended record(const Words& arguments) { return kronbit(arguments, {.program = "experiments/record_table"}); }

/// Rows without their seconds, sorted: in which order trainings end is chance.
std::multiset<std::vector<std::string>> essence_of(const fs::path& table) {
  std::multiset<std::vector<std::string>> rows;
  for (std::vector<std::string> row : read_table(table).rows) {
    for (const char* column : {"train_seconds", "evaluation_seconds"}) row[table_column(column)].clear();
    rows.insert(row);
  }
  return rows;
}

const fs::path& unbroken_table() {
  static const fs::path folder = [] {
    const fs::path path = fresh("table");
    const Ended ended = record(recording(path));
    EXPECT_EQ(ended.code, 0) << ended.err;
    return path;
  }();
  return folder;
}

Json evaluation(const Bits& bits, const std::vector<double>& epochs, const std::string& reference = "") {
  Job job;
  job.network.net = "toy10";
  job.network.weights = toy_weights().string();
  job.data.data = "synthetic:100";
  job.data.validation = "train:20";
  job.tune.batch = "20";
  job.layers = bits;
  job.epochs = epochs;
  job.test_every_task = true;
  job.reference = reference;
  return run_job(job);
}

TEST(Reference, DivergenceOfLogits) {
  // ln softmax of (0, ln 3) is (ln 1/4, ln 3/4), that of (0, 0) is (ln 1/2, ln 1/2).
  const Tensor p = Tensor::from({2, 2}, {0.0F, std::log(3.0F), 5.0F, 5.0F});
  const Tensor q = Tensor::from({2, 2}, {1.0F, 1.0F, -2.0F, -2.0F});
  EXPECT_NEAR(mean_kl(p, q), 0.5 * (0.25 * std::log(0.5) + 0.75 * std::log(1.5)), 1e-7);
  EXPECT_EQ(mean_kl(p, p), 0.0);
  // Far beyond what exp() can hold.
  const Tensor far = Tensor::from({1, 2}, {3000.0F, -3000.0F}), near = Tensor::from({1, 2}, {-3000.0F, 3000.0F});
  EXPECT_DOUBLE_EQ(mean_kl(far, near), 6000.0);
}

TEST(Reference, IsKeptAndMadeAnewWhenDamagedOrOfAnother) {
  const fs::path file = fresh("reference.safetensors");
  const Json without = evaluation(Bits(10, 3), {0});
  const Json first = evaluation(Bits(10, 3), {0}, file.string());
  ASSERT_TRUE(fs::exists(file));
  const std::string bytes = file_text(file);
  EXPECT_EQ(first["kl"], without["kl"]);
  EXPECT_EQ(evaluation(Bits(10, 3), {0}, file.string())["kl"], without["kl"]);
  EXPECT_GT(first["kl"][0].get<double>(), evaluation(Bits(10, 8), {0}, file.string())["kl"][0].get<double>());
  EXPECT_EQ(file_text(file), bytes);

  write_file(file, bytes.substr(0, bytes.size() / 2));
  EXPECT_EQ(evaluation(Bits(10, 3), {0}, file.string())["kl"], without["kl"]);
  EXPECT_EQ(file_text(file), bytes);

  std::string other = bytes;
  other[other.find("weights ") + 8] ^= 1;
  write_file(file, other);
  EXPECT_EQ(evaluation(Bits(10, 3), {0}, file.string())["kl"], without["kl"]);
  EXPECT_EQ(file_text(file), bytes);
}

TEST(Evaluation, LowerTasksAreThoseOfRunsOfTheirOwn) {
  const Json all = evaluation(Bits(10, 4), {0, 0.25, 1});
  const Json one = evaluation(Bits(10, 4), {0.25});
  EXPECT_EQ(all["accuracies"][1], one["accuracies"][0]);
  EXPECT_EQ(all["kl"][1], one["kl"][0]);
  EXPECT_EQ(all["train_losses"][1], one["train_losses"][0]);
  EXPECT_EQ(all["test_tasks"]["losses"][1], one["test_tasks"]["losses"][0]);
  EXPECT_TRUE(all["train_losses"][0].is_null());
  EXPECT_EQ(all["test_tasks"]["accuracies"].size(), 3u);
}

TEST(TablePlan, IsAFairSampleFromItsBeginningOn) {
  const std::vector<nn::ConvInfo> layers = nn::conv_layers(nn::build("resnet20"));
  quant::Sensitivity sensitivity;
  for (size_t i = 0; i < layers.size(); ++i) {
    sensitivity.layers.push_back(layers[i].name);
    sensitivity.mse.emplace_back();
    for (int b = 1; b <= 8; ++b) sensitivity.mse.back().push_back(std::pow(5.0, -b) * static_cast<double>(1 + i % 7));
  }
  const std::vector<TableEntry> plan = make_table_plan(layers, 300, sensitivity);
  ASSERT_EQ(plan.size(), 300u);
  std::set<Bits> distinct;
  std::map<std::string, int> all, early, repeated;
  for (const TableEntry& e : plan) {
    EXPECT_EQ(e.id, static_cast<int64_t>(distinct.size()));
    distinct.insert(e.bits);
    ++all[e.kind];
    early[e.kind] += e.id < 75;
    repeated[e.kind] += e.repeated;
  }
  EXPECT_EQ(distinct.size(), 300u);
  EXPECT_EQ(all["uniform"], 8);
  EXPECT_EQ(all["linear"], 135);
  EXPECT_GE(all["sensitivity"], 25);
  for (const auto& [kind, count] : all) {
    EXPECT_GE(early[kind], kind == "uniform" ? 8 : count / 5) << kind;
    EXPECT_NEAR(repeated[kind], count / 3.0, 1.0) << kind;
  }
  const std::vector<TableJob> jobs = table_jobs(plan, 3);
  std::set<std::pair<size_t, int64_t>> trainings;
  for (const TableJob& job : jobs) trainings.emplace(job.entry, job.seed);
  EXPECT_EQ(trainings.size(), jobs.size());
  EXPECT_LT(jobs[150].entry, 150u);
  EXPECT_EQ(jobs[150].seed, 2);
}

TEST(RecordTable, HasEveryTraining) {
  const TableContent table = read_table(unbroken_table() / "rows.csv");
  std::set<std::vector<std::string>> keys;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    EXPECT_EQ(table.cell(i, "status"), "ok");
    EXPECT_EQ(table.cell(i, "train_loss").empty(), table.cell(i, "epochs") == "0");
    keys.insert({table.cell(i, "bits"), table.cell(i, "seed"), table.cell(i, "epochs")});
  }
  EXPECT_EQ(keys.size(), table.rows.size());
  std::set<std::string> bits;
  for (const auto& key : keys) bits.insert(key[0]);
  EXPECT_EQ(bits.size(), 14u);
  EXPECT_GT(table.rows.size(), 2 * bits.size());  // some have a second seed
  EXPECT_EQ(table.value("tasks"), "0 0.5");
  EXPECT_THAT(table.value("command"), testing::Not(HasSubstr(scratch().string())));

  const Ended again = record(recording(unbroken_table()));
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(read_table(unbroken_table() / "rows.csv").rows, table.rows);
}

TEST(RecordTable, GoesOnAfterAKillAndATornLine) {
  const fs::path out = fresh("killed"), rows = out / "rows.csv";
  for (const int number : {SIGKILL, SIGTERM}) {
    const int lines = fs::exists(rows) ? static_cast<int>(split(file_text(rows), '\n').size()) : 20;
    Program program(recording(out, {"--workers", "2"}), {.program = "experiments/record_table"});
    ASSERT_TRUE(program.wait_for_lines(rows, lines + 4));
    program.signal(number);
    const Ended ended = program.wait();
    EXPECT_EQ(number == SIGKILL ? ended.signal : ended.code, number == SIGKILL ? SIGKILL : 128 + SIGTERM) << ended.err;
    write_file(rows, file_text(rows) + "3,linear,44");
  }
  const Ended ended = record(recording(out));
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(essence_of(rows), essence_of(unbroken_table() / "rows.csv"));
  EXPECT_TRUE(temporaries(out).empty());
}

TEST(RecordTable, RefusesOtherSettingsAndDamage) {
  const fs::path out = fresh("damaged");
  fs::create_directories(out);
  fs::copy(unbroken_table(), out, fs::copy_options::recursive);
  const Ended other = record(recording(out, {"--momentum", "0.5"}));
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.err, HasSubstr("fine-tuning: wanted what the table was begun with"));
  std::string text = file_text(out / "rows.csv");
  const size_t at = text.find(",uniform,") + 1;
  text[at] = 'U';
  write_file(out / "rows.csv", text);
  const Ended damaged = record(recording(out));
  EXPECT_EQ(damaged.code, 2);
  EXPECT_THAT(damaged.err, HasSubstr("wanted a row with its checksum"));
  EXPECT_EQ(file_text(out / "rows.csv"), text);
  for (const Words& wrong : {Words{"--tasks", "1,0"}, Words{"--seeds", "0"}, Words{"--lr", "fast"}})
    EXPECT_EQ(record(with_flag(recording(fresh("wrong")), wrong[0], wrong[1])).code, 2) << wrong[0];
  EXPECT_EQ(record({"--out", out.string()}).code, 2);
}

TEST(RecordTable, RecordsAFailedTrainingOnce) {
  const fs::path out = fresh("failing");
  const Words arguments =
      with_flag(with_flag(recording(out, {"--limit", "1", "--weight-decay", "1"}), "--lr", "1000"), "--tasks", "0,20");
  const Ended ended = record(arguments);
  EXPECT_EQ(ended.code, 0) << ended.err;
  const TableContent table = read_table(out / "rows.csv");
  ASSERT_EQ(table.rows.size(), 1u);
  EXPECT_THAT(table.cell(0, "status"), testing::StartsWith("failed: "));
  EXPECT_EQ(table.cell(0, "bits"), "4444444444");
  EXPECT_EQ(record(arguments).code, 0);
  EXPECT_EQ(read_table(out / "rows.csv").cell(1, "bits"), "3333333333");
}

TEST(RecordTable, ExportsWholeTrainings) {
  const fs::path out = fresh("export"), file = out / "table.csv";
  fs::create_directories(out);
  const std::string text = file_text(unbroken_table() / "rows.csv");
  write_file(out / "rows.csv", text.substr(0, text.rfind('\n', text.size() - 2) + 5));  // the last row is torn
  const Ended ended = record({"--out", out.string(), "--export", file.string()});
  EXPECT_EQ(ended.code, 0) << ended.err;
  const std::vector<std::string> lines = split(file_text(file), '\n');
  std::vector<std::string> rows;
  for (const std::string& line : lines)
    if (!line.empty() && line[0] != '#') rows.push_back(line);
  const size_t whole = read_table(unbroken_table() / "rows.csv").rows.size();
  EXPECT_EQ(rows.size(), 1 + whole - 2);
  EXPECT_THAT(rows[0], testing::EndsWith("average_bits,status"));
  EXPECT_THAT(rows[1], testing::StartsWith("0,uniform,4444444444,,1,0,"));
  EXPECT_THAT(rows[2], testing::StartsWith("0,uniform,4444444444,,1,0.5,"));
}

TEST(RecordTable, GoesOnFromAnExportedTable) {
  const fs::path folder = fresh("published"), file = folder / "table.csv", out = fresh("continued");
  fs::create_directories(folder);
  ASSERT_EQ(record({"--out", unbroken_table().string(), "--export", file.string()}).code, 0);
  // Entry 3 is missing, and entry 10 was planned otherwise.
  const std::string planned = ",5444444444,", recorded = ",5444444445,", whole = file_text(file);
  std::string text = whole.substr(0, whole.find("\n3,")) + whole.substr(whole.find("\n4,"));
  for (size_t at = 0; (at = text.find(planned, at)) != std::string::npos;) text.replace(at, planned.size(), recorded);
  ASSERT_NE(text.find("\n10,linear" + recorded), std::string::npos);
  write_file(file, text);
  Json sensitivity = parse_json(file_text(unbroken_table() / "sensitivity.json"), "sensitivity");
  sensitivity["layers"][0]["mse"][0] = 12345.0;
  write_file(folder / "table-sensitivity.json", sensitivity.dump());

  const Ended ended = record(recording(out, {"--from", file.string()}));
  EXPECT_EQ(ended.code, 0) << ended.err;
  std::multiset<std::vector<std::string>> wanted;
  for (std::vector<std::string> row : essence_of(unbroken_table() / "rows.csv")) {
    if (std::string& bits = row[table_column("bits")]; "," + bits + "," == planned) bits = recorded.substr(1, 10);
    wanted.insert(row);
  }
  EXPECT_EQ(essence_of(out / "rows.csv"), wanted);
  EXPECT_EQ(parse_json(file_text(out / "sensitivity.json"), "sensitivity"), sensitivity);
  EXPECT_EQ(record(recording(out)).code, 0);  // and goes on without it
  EXPECT_EQ(essence_of(out / "rows.csv"), wanted);

  const auto refusal = [&](std::string changed, const std::string& from, const std::string& to) {
    write_file(file, changed.replace(changed.find(from), from.size(), to));
    const Ended refused = record(recording(fresh("refused"), {"--from", file.string()}));
    EXPECT_EQ(refused.code, 2);
    return refused.err;
  };
  EXPECT_THAT(refusal(whole, ",uniform,", ",linear,"), HasSubstr("kind that the plan has there, got \"linear\""));
  EXPECT_THAT(refusal(whole, ",uniform,", ",uniform"), HasSubstr("columns: wanted"));
  write_file(folder / "rows.csv", whole);
  const Ended direct = record(recording(folder));
  EXPECT_EQ(direct.code, 2);
  EXPECT_THAT(direct.err, HasSubstr("got an exported table; use --from"));
}

}  // namespace
}  // namespace kronbit::app
