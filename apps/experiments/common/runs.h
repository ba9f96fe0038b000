// The three kinds of steps the paper's experiments are made of, and how much of each a preset runs: a training in
// floating point, a search that starts from it, and rows: bit lists fine-tuned from it and tested.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/experiments/common/experiment.h"
#include "apps/kronbit/search/expectation.h"
#include "apps/kronbit/search/settings.h"
#include "quant/size.h"

namespace kronbit::experiments {

/// How much is run on one network. Every number that two cores made smaller than the paper's is here.
struct Scale {
  double fp32_epochs = 1;
  std::string lr = "0.1", batch = "128";  ///< of the training in floating point, one cycle
  std::string tasks;                      ///< epochs, as after --tasks
  int64_t evaluations = 1;
  double row_epochs = 1;   ///< cosine from the learning rate of the evaluations
  int64_t seeds = 1;       ///< of every row
  std::string probe = {};  ///< images that errors of single layers are measured on; empty: as many as kronbit's
};
/// The preset's, with what the command line changed.
Scale scale_of(const Settings& settings, const std::string& net, const std::string& data);

/// A network on a data set: names its places (runs/DATA/NET/...).
struct Subject {
  std::string net, data;      ///< data as after --data
  std::string place() const;  ///< "cifar10/vgg16"
};

/// A finished training in floating point. Units: fractions, seconds.
struct Training {
  std::string weights;  ///< path
  double validation = 0, test = 0, epochs = 0, seconds = 0;
  std::string command, precision;
};
std::optional<Training> train(Experiment& experiment, const Subject& subject);
Json to_json(const Training& training);

/// A finished search and the model fitted to all of it.
class Search {
 public:
  Search(const std::filesystem::path& folder, std::string command);
  const app::RunView& run() const { return *run_; }
  const search::Model& model() const { return *model_; }
  /// What the model expects of a bit list at the last task (validation images).
  app::Expected expect(const Bits& bits) const;
  /// The candidate within the limits that scores highest by what the model expects; nothing when none is.
  std::optional<app::Expected> best(search::By by, const search::Limits& limits = {}) const;
  /// The candidate of the highest expected accuracy with at most `bytes` packed bytes; nothing when none is as small.
  std::optional<app::Expected> best_within(double bytes) const;
  Json to_json() const;  ///< command, evaluations per task, seconds, and what the paper's effective accuracy picks

 private:
  std::unique_ptr<app::RunView> run_;
  std::unique_ptr<search::Model> model_;
  std::string command_;
};
/// curve: as after --curve. more: further arguments.
std::optional<Search> search(Experiment& experiment, const Subject& subject, const std::string& curve,
                             const std::vector<std::string>& more = {});

/// What `kronbit sensitivity --allocate` finds for each size (packed bytes) from the errors of single layers, without
/// any training; empty where nothing has run.
std::vector<Bits> allocate(Experiment& experiment, const Subject& subject, const Training& training,
                           const std::vector<int64_t>& bytes);

/// Sizes of a bit list by the three rules, bytes.
struct Sizes {
  int64_t packed = 0, paper = 0, payload = 0, weights = 0, total_bits = 0;
};
Sizes sizes_of(const std::vector<nn::ConvInfo>& layers, const Bits& bits);

/// A bit list that was fine-tuned and tested.
struct Row {
  Bits bits;
  std::string mode = "signed-extreme";
  /// Fine-tuned in another way than finetune's default: further arguments, and their name in the place.
  std::vector<std::string> tuning = {};
  std::string tuning_name = {};
  std::optional<double> before = {};               ///< test top-1 without fine-tuning
  std::vector<double> top1 = {}, validation = {};  ///< after it, one per seed that has run
  double epochs = 0, seconds = 0;
  std::vector<std::string> commands = {};
  double mean() const;
  double sd() const;  ///< between seeds; 0 with fewer than two
};
/// Runs what is missing of seeds first..last (1 is the first); of each stays its journal and best/model.safetensors.
void measure(Experiment& experiment, const Subject& subject, const Training& training, int64_t first_seed,
             int64_t last_seed, Row& row);
Json to_json(const Row& row);

/// "93.70 %", "93.70 % ± 0.12", "-" for nothing.
std::string percent_text(std::optional<double> fraction, std::optional<double> sd = {});

}  // namespace kronbit::experiments
