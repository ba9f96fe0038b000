#include "apps/experiments/common/runs.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "apps/kronbit/search/statistics.h"
#include "nn/models/models.h"
#include "search/ranking.h"
#include "tensor/io/parse.h"

namespace kronbit::experiments {
namespace {

/// What two cores can do in a day; the paper trained for 300 epochs and fine-tuned for 30, ten times.
Scale paper_scale(const std::string& net, const std::string& data) {
  Scale s{.fp32_epochs = 30, .tasks = "0,0.25,1", .evaluations = 65, .row_epochs = 1, .seeds = 3};
  if (net == "vgg19") {
    s.fp32_epochs = 40;
    s.seeds = 1;
  }
  if (net == "resnet18") {
    s.fp32_epochs = 10;
    s.tasks = "0,0.25,0.5";
    s.evaluations = 32;
    s.row_epochs = 0.5;
  }
  if (net == "googlenet") {
    s.fp32_epochs = 16;
    s.tasks = "0,0.1,0.25";
    s.evaluations = 40;
    s.row_epochs = 0.5;
    s.seeds = 1;
  }
  if (net == "toy10") {  // Fig. 4
    s.fp32_epochs = 20;
    s.tasks = "0,1,2,15";
    s.evaluations = 14;
  }
  if (data.starts_with("imagenet32:")) {  // 10,000 training images: an epoch has 78 steps
    s.fp32_epochs = 40;
    s.tasks = "0,0.25,1,3";
    s.row_epochs = 5;
    s.seeds = 1;
  }
  return s;
}

Scale quick_scale(const std::string& net) {
  Scale s{.fp32_epochs = 6,
          .lr = "0.005",
          .batch = "32",
          .tasks = "0,0.25,0.5",
          .evaluations = 6,
          .row_epochs = 0.5,
          .probe = "16"};
  if (net == "googlenet") {
    s.fp32_epochs = 1;
    s.row_epochs = 0.1;
    s.tasks = "0,0.05,0.1";
  }
  if (net == "toy10") {
    s.lr = "0.05";
    s.fp32_epochs = 12;
    s.tasks = "0,0.25,0.5,1";
    s.evaluations = 14;
  }
  return s;
}

double total_seconds(const std::vector<Json>& lines) {
  double seconds = 0;
  for (const Json& line : lines) {
    if (line["event"] != "settings" && has(line, "seconds")) seconds += get_number(line, "seconds", 0, 1e12, "journal");
  }
  return seconds;
}

void add(std::vector<std::string>& words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
}

/// Words of every command that reads the data.
std::vector<std::string> base(const std::string& command, const Subject& subject) {
  return {command, "--net", subject.net, "--data", subject.data};
}

/// Removes files of a finished step that no later step reads: a training leaves ten times its answer behind.
void tidy(const std::filesystem::path& folder, const std::vector<const char*>& files) {
  for (const char* file : files) std::filesystem::remove(folder / file);
}

}  // namespace

Scale scale_of(const Settings& settings, const std::string& net, const std::string& data) {
  Scale s = settings.paper() ? paper_scale(net, data) : quick_scale(net);
  if (data.starts_with("folder:")) {  // 224x224 pictures: a step of 128 of ResNet50 wants too much memory
    s.lr = "0.0125";
    s.batch = "32";
  }
  if (!settings.epochs.empty()) s.fp32_epochs = parse_number(settings.epochs, 0.001, 1e6, "--epochs");
  if (!settings.evaluations.empty()) s.evaluations = parse_int(settings.evaluations, 1, 1'000'000, "--evaluations");
  if (!settings.row_epochs.empty()) s.row_epochs = parse_number(settings.row_epochs, 0.001, 1e6, "--row-epochs");
  if (!settings.seeds.empty()) s.seeds = parse_int(settings.seeds, 1, 1000, "--seeds");
  return s;
}

std::string Subject::place() const { return data.substr(0, std::min(data.find(':'), data.size())) + "/" + net; }

std::optional<Training> train(Experiment& experiment, const Subject& subject) {
  const Scale scale = scale_of(experiment.settings(), subject.net, subject.data);
  const std::string place = subject.place() + "/fp32";
  const std::filesystem::path folder = experiment.folder(place);
  std::vector<std::string> words = base("train", subject);
  add(words, {"--epochs", fmt::format("{}", scale.fp32_epochs), "--schedule", "onecycle", "--lr", scale.lr,
              "--weight-decay", "0.0005", "--batch", scale.batch, "--seed", "1", "--out", folder.string(), "--resume"});
  const std::optional<StepResult> result = experiment.step(place, words);
  if (!result) return std::nullopt;
  tidy(folder, {"checkpoint.safetensors"});
  const std::string where = folder.string();
  return Training{.weights = (folder / "best" / "weights.safetensors").string(),
                  .validation = get_number(result->answer, "val_top1", 0, 1, where),
                  .test = get_number(result->answer, "test_top1", 0, 1, where),
                  .epochs = scale.fp32_epochs,
                  .seconds = total_seconds(search::read_journal(folder).lines),
                  .command = result->command,
                  .precision = get_string(result->answer, "precision", where)};
}

Json to_json(const Training& t) {
  return {{"test", t.test},       {"validation", t.validation}, {"epochs", t.epochs},
          {"seconds", t.seconds}, {"precision", t.precision},   {"command", t.command}};
}

Search::Search(const std::filesystem::path& folder, std::string command)
    : run_(std::make_unique<app::RunView>(app::open_run(folder))),
      model_(std::make_unique<search::Model>(run_->state.explorer().fit())),
      command_(std::move(command)) {}

app::Expected Search::expect(const Bits& bits) const { return app::expect(*run_, *model_, run_->space.goal, bits); }

std::optional<app::Expected> Search::best(search::By by, const search::Limits& limits) const {
  const std::vector<search::Ranked> ranked =
      search::rank(*model_, run_->state.explorer(), run_->space.candidates, {.by = by}, limits);
  if (ranked.empty()) return std::nullopt;
  return expect(run_->space.candidates[ranked[0].candidate].bits);
}

std::optional<app::Expected> Search::best_within(double bytes) const {
  search::Limits limits;
  limits.max_bytes = bytes;
  return best(search::By::Accuracy, limits);
}

Json Search::to_json() const {
  std::vector<int> per_task(run_->space.epochs.size());
  for (const Json& line : run_->lines) {
    if (line["event"] == "evaluation")
      ++per_task[static_cast<size_t>(get_int(line, "task", 0, std::ssize(per_task) - 1, "journal"))];
  }
  const app::Expected effective = *best(search::By::Effective);
  return {{"command", command_},
          {"effective_best",
           {{"bits", effective.bits},
            {"text", format_bits(effective.bits)},
            {"estimate", effective.accuracy},
            {"estimate_sd", effective.sd}}},
          {"curve", run_->space.curve.text()},
          {"tasks", run_->space.epochs},
          {"evaluations", run_->state.evaluations()},
          {"evaluations_to_task", per_task},
          {"candidates", run_->space.candidates.size()},
          {"fp32_validation", run_->settings.fp32_validation},
          {"seconds", run_->state.seconds()}};
}

std::optional<Search> search(Experiment& experiment, const Subject& subject, const std::string& curve,
                             const std::vector<std::string>& more) {
  const std::optional<Training> training = train(experiment, subject);
  if (!training) return std::nullopt;
  const Scale scale = scale_of(experiment.settings(), subject.net, subject.data);
  std::string name = curve;
  std::replace(name.begin(), name.end(), ':', '-');
  const std::string place = fmt::format("{}/search-{}", subject.place(), name);
  std::vector<std::string> words = base("search", subject);
  // The paper's own search: its criterion, a model that sees the weights of the curve and nothing of the layers.
  add(words, {"--strategy", "information", "--model", "curve", "--warp", "auto", "--covariance", "se", "--observe",
              "accuracy", "--probe", "0"});
  add(words, {"--weights", training->weights, "--tasks", scale.tasks, "--curve", curve, "--budget",
              fmt::format("{}evals", scale.evaluations), "--final-top", "0", "--seed", "1"});
  // The tables ask for small networks that lose little. The paper's goal does not: with a quantizer that still works at
  // one bit, its effective accuracy is highest where most layers have one.
  if (curve != "line") add(words, {"--by", "size", "--max-drop", "1%"});
  add(words, more);
  add(words, {"--out", experiment.folder(place).string(), "--resume"});
  const std::optional<StepResult> result = experiment.step(place, words);
  if (!result) return std::nullopt;
  return Search(experiment.folder(place), result->command);
}

std::vector<Bits> allocate(Experiment& experiment, const Subject& subject, const Training& training,
                           const std::vector<int64_t>& bytes) {
  std::vector<std::string> words = base("sensitivity", subject);
  add(words, {"--weights", training.weights, "--images", "1"});
  const Scale scale = scale_of(experiment.settings(), subject.net, subject.data);
  if (!scale.probe.empty()) add(words, {"--probe", scale.probe});
  for (int64_t b : bytes) add(words, {"--allocate", fmt::format("{}B", b)});
  const std::string place = fmt::format("{}/sensitivity-{}", subject.place(), fmt::join(bytes, "-"));
  const std::optional<StepResult> result = experiment.step(place, words);
  std::vector<Bits> lists;
  if (result) {
    for (const Json& allocation : result->answer.at("allocations")) {
      const std::vector<int64_t> bits = get_ints(allocation, "bits", kMinBits, kMaxBits, place);
      lists.emplace_back(bits.begin(), bits.end());
    }
  }
  return lists;
}

Sizes sizes_of(const std::vector<nn::ConvInfo>& layers, const Bits& bits) {
  const auto bytes = [&](quant::SizeRule rule) { return quant::size_of(layers, bits, rule).bytes; };
  const quant::SizeReport paper = quant::size_of(layers, bits, quant::SizeRule::Paper);
  return {bytes(quant::SizeRule::Packed), paper.bytes, bytes(quant::SizeRule::Payload), paper.weights,
          paper.total_bits};
}

double Row::mean() const { return app::mean(top1); }
double Row::sd() const { return app::sd(top1); }

void measure(Experiment& experiment, const Subject& subject, const Training& training, int64_t first_seed,
             int64_t last_seed, Row& row) {
  const Scale scale = scale_of(experiment.settings(), subject.net, subject.data);
  const std::string place = fmt::format("{}/rows/{}{}", subject.place(), digits(row.bits),
                                        row.mode == "signed-extreme" ? "" : "-" + row.mode);
  const std::vector<std::string> what = {"--weights",           training.weights, "--bits",
                                         format_bits(row.bits), "--mode",         row.mode};
  if (!row.before) {
    std::vector<std::string> words = base("eval", subject);
    add(words, what);
    add(words, {"--split", "test"});
    if (const auto result = experiment.step(place + "/before", words))
      row.before = get_number(result->answer, "top1", 0, 1, place);
  }
  row.epochs = scale.row_epochs;
  for (int64_t seed = first_seed; seed <= last_seed; ++seed) {
    const std::string here =
        fmt::format("{}{}/seed{}", place, row.tuning_name.empty() ? "" : "-" + row.tuning_name, seed);
    const std::filesystem::path folder = experiment.folder(here);
    std::vector<std::string> words = base("finetune", subject);
    add(words, what);
    add(words, row.tuning);
    add(words, {"--epochs", fmt::format("{}", scale.row_epochs), "--schedule", "cosine", "--seed",
                fmt::format("{}", seed), "--out", folder.string(), "--resume"});
    const std::optional<StepResult> result = experiment.step(here, words);
    if (!result) continue;
    tidy(folder, {"checkpoint.safetensors", "best/weights.safetensors"});  // best/model.safetensors is the network
    row.top1.push_back(get_number(result->answer, "test_top1", 0, 1, here));
    row.validation.push_back(get_number(result->answer, "val_top1", 0, 1, here));
    row.seconds += total_seconds(search::read_journal(folder).lines);
    row.commands.push_back(result->command);
  }
}

Json to_json(const Row& row) {
  return {{"bits", row.bits},        {"text", format_bits(row.bits)},
          {"mode", row.mode},        {"before", row.before ? Json(*row.before) : Json(nullptr)},
          {"top1", row.top1},        {"validation", row.validation},
          {"epochs", row.epochs},    {"seconds", row.seconds},
          {"commands", row.commands}};
}

std::string percent_text(std::optional<double> fraction, std::optional<double> sd) {
  if (!fraction) return "-";
  return sd ? fmt::format("{:.2f} % ± {:.2f}", 100 * *fraction, 100 * *sd) : fmt::format("{:.2f} %", 100 * *fraction);
}

}  // namespace kronbit::experiments
