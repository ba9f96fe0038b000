// Training and evaluation of a network on a data set. A Trainer is a position in a run: every step is a pure function
// of the weights, the optimiser's state, the seed and the step number, so a restored run ends with the same bits.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "data/loader.h"
#include "nn/network.h"
#include "nn/optim.h"
#include "nn/schedule.h"

namespace kronbit {
class Device;  // tensor/cuda/device.h
}

namespace kronbit::nn {

struct TrainOptions {
  double epochs = 1;  ///< fractions allowed: 0.25 is the first quarter of the batches
  int64_t batch = 128;
  OptimiserOptions optimiser = Sgd{};
  Schedule schedule;             ///< of the learning rate, over all steps of the run
  double clip_gradients = 0;     ///< largest norm of all gradients together; 0: no limit
  double label_smoothing = 0;    ///< in [0, 1)
  uint64_t seed = 1;             ///< of order, augmentation and dropout
  DType precision = DType::F32;  ///< of activations and their gradients: F32 or BF16
  Device* device = nullptr;      ///< null: this processor; else BF16, sgd, no dropout
};

/// What one step did.
struct StepReport {
  double loss = 0;  ///< mean over the batch, before the update
  int64_t correct = 0, images = 0;
  double lr = 0;
};

/// What a network gets right on a data set.
struct Accuracy {
  double top1 = 0, top5 = 0;  ///< fractions of the images
  double loss = 0;            ///< mean cross-entropy, nats
  int64_t images = 0;
  double seconds = 0;
};

class DeviceNetwork;

class Trainer {
 public:
  /// Trains `net` in place. Throws: InputError for options out of range or images that do not fit the network.
  Trainer(Network& net, const data::Dataset& train, const data::Normalization& normalization,
          const TrainOptions& options);
  ~Trainer();

  int64_t steps() const { return steps_; }  ///< of the whole run
  int64_t step() const { return step_; }    ///< done so far
  int64_t steps_per_epoch() const { return loader_.batches(); }
  /// Steps that make up `epochs` epochs.
  int64_t steps_in(double epochs) const;
  bool done() const { return step_ >= steps_; }

  /// One batch forward and backward, one update. Requires: !done().
  /// Throws: NumericalError naming the first layer whose output (or parameter whose gradient) is not finite; the
  /// weights are then those before the step, but running statistics may not be. An update that overflows is noticed
  /// by the step after it, or by save().
  StepReport advance();
  /// Brings the parameters as they are now into the network: they are there already unless a device has them.
  void fetch();
  /// The logits [1][1][N][classes] of images [H][W][N][3] with the running statistics, where the training runs.
  Tensor classify(const Tensor& images);
  /// nn::evaluate() of the network as it is now, where the training runs.
  /// Throws: NumericalError naming the first layer whose output is not finite.
  Accuracy evaluate(const data::Dataset& dataset, const data::Normalization& normalization, int64_t batch);

  /// Everything a run needs to go on from here, in one file, atomically; `notes` are kept beside it.
  /// Throws: NumericalError naming the first parameter, or number of the optimiser, that is not finite; the file stays
  /// as it was.
  void save(const std::filesystem::path& path, const std::map<std::string, std::string>& notes = {}) const;
  /// Returns the notes. Throws: InputError if the file is damaged or was saved with other options, another network or
  /// length of run; then nothing is changed.
  std::map<std::string, std::string> restore(const std::filesystem::path& path);

 private:
  /// What a pass over these images finds: as the next step of training, or with the running statistics.
  std::string describe_first_non_finite(const Tensor& images, bool training);
  StepReport advance_on_device(int64_t epoch, int64_t index, double lr);

  Network& net_;
  TrainOptions options_;
  data::Loader loader_;
  Optimiser optimiser_;
  std::unique_ptr<DeviceNetwork> on_device_;  // null: this processor trains
  bool images_on_device_ = false;
  std::unique_ptr<ConvWeightCache> kept_weights_;  // of classify(), until the next step
  int64_t steps_ = 0, step_ = 0;
};

/// BF16 where this processor multiplies bf16 faster than f32, else F32.
DType fastest_precision();

/// Runs every image of `dataset` once, without augmentation, through `classify`: images [H][W][N][3] to logits
/// [1][1][N][classes]. With fewer than 6 classes top5 is 1.
/// `progress(done, total)` is called after every batch; a true `*stop` ends early with Stopped.
/// Throws: NumericalError at the first batch whose loss is not finite.
Accuracy evaluate(const std::function<Tensor(const Tensor& images)>& classify, const data::Dataset& dataset,
                  const data::Normalization& normalization, int64_t batch,
                  const std::function<void(int64_t done, int64_t total)>& progress = {},
                  const std::atomic<bool>* stop = nullptr);
/// The same for a network: in this precision on this processor or, with a device, there in bf16.
Accuracy evaluate(Network& net, const data::Dataset& dataset, const data::Normalization& normalization,
                  int64_t batch = 128, const std::function<void(int64_t done, int64_t total)>& progress = {},
                  const std::atomic<bool>* stop = nullptr, DType precision = DType::F32, Device* device = nullptr);

}  // namespace kronbit::nn
