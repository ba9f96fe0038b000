// A network whose parameters live on a device, where it is trained in bf16: a static plan of kernels for each number of
// images, forward, backward and update, begun one after another (on a GPU as one graph). The operators and fusions are
// those of the processor; the host sees losses, logits and, when it asks, the parameters.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/loader.h"
#include "nn/cuda/device_ops.h"
#include "nn/network.h"
#include "nn/optim.h"
#include "tensor/cuda/device.h"

namespace kronbit::nn {

class DevicePass;

/// What a step of training saw before its update.
struct DeviceLoss {
  double loss = 0;  ///< mean over the images
  int64_t correct = 0, images = 0;
};

/// Requires: one caller at a time; the network and the device outlive it.
class DeviceNetwork {
 public:
  /// Copies the parameters of `net` to the device; without a rule for forward() alone. Throws: InputError naming an
  /// operator that is not trained there (dropout), or a rule that is not (Adam); Error when the device has no memory or
  /// no kernels.
  DeviceNetwork(Network& net, Device& device, const std::optional<OptimiserOptions>& rule = {});
  ~DeviceNetwork();

  /// One batch forward and backward, one update at learning rate `lr`, the norm of all gradients limited to max_norm
  /// (0: not limited).
  /// Shapes:   images [H][W][N][C] f32; labels N
  /// Requires: a rule; labels below the number of classes
  /// Throws:   InputError for images of another size, and where a normalization has a single value per channel;
  ///           NumericalError when the loss or a gradient is not finite: the parameters are then those before the step,
  ///           running statistics may not be
  DeviceLoss train(const Tensor& images, const std::vector<int>& labels, double label_smoothing, double lr,
                   double max_norm);
  /// The same on images that lie on the device: keep_images() copies all of a source there.
  DeviceLoss train(const data::Picks& picks, double label_smoothing, double lr, double max_norm);
  void keep_images(const data::MemorySource& source, const data::Normalization& normalization);
  /// Begins the forward and backward passes of the last train() again, on the same images: for timing them alone.
  void repeat();
  /// The logits [1][1][N][classes] f32 with the running statistics. Throws: InputError for images of another size.
  Tensor forward(const Tensor& images);

  /// Copies parameters and running statistics into the network.
  void fetch();
  /// What Optimiser::state() holds for SGD, without "step"; and back.
  std::map<std::string, Tensor> velocities() const;
  void set_velocities(const std::map<std::string, Tensor>& state);
  /// Copies the network's parameters to the device again.
  void upload();

 private:
  friend class DevicePass;
  struct Slot {
    DeviceArray<float> value, gradient, velocity;  // the last two of trainable parameters only
  };
  DevicePass& pass(int64_t images, bool training);
  DeviceLoss finish_step(DevicePass& pass, const std::vector<int>& labels, double label_smoothing, double lr,
                         double max_norm);

  Network& net_;
  Device& device_;
  bool trains_;
  Sgd rule_;
  std::vector<Slot> slots_;                       // by parameter of the network
  std::vector<DeviceArray<float>> coefficients_;  // of the passes' normalizations
  std::map<std::pair<int64_t, bool>, std::unique_ptr<DevicePass>> passes_;
  DevicePass* last_trained_ = nullptr;
  DeviceArray<uint8_t> image_bytes_;
  DeviceArray<float> pixel_values_;
  ImageSet images_;
};

}  // namespace kronbit::nn
