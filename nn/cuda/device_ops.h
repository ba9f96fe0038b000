// The operators of training on a GPU: plain functions on pointers into a device's memory. They allocate nothing (the
// caller gives workspace; the functions below say how much), begin their work on a queue in order, and give the same
// bits in every run: sums have a fixed order that depends on the shapes only, and there are no atomics on floats.
// Formulas are those of nn/ops. Light enough for nvcc: kernel files include it.
//
// Layout of activations: [H][W][N][C] bf16, pitch = channels_pitch(C) numbers from one row to the next, zeros between
// channels and pitch (read and written as such); everything aligned to 16 bytes. Parameters are f32 as in nn/ops.
#pragma once

#include <cstdint>

#include "tensor/cuda/queue.h"

namespace kronbit {

class Device;
struct bf16;  // tensor/tensor.h

namespace nn {

/// pitch_of() of tensor/tensor.h.
constexpr int channels_pitch(int channels) {
  return channels <= 16 ? (channels + 15) / 16 * 16 : (channels + 31) / 32 * 32;
}

/// A convolution on `images` maps. Requires: kernel_h * kernel_w <= 64; rows of either side below 2^31.
struct ConvGeometry {
  int height = 0, width = 0, images = 0, channels = 0, outputs = 0;
  int kernel_h = 1, kernel_w = 1, stride = 1, pad = 0;
  int least_blocks = 264;  ///< tiles of results are made smaller where there would be fewer: two for each of 132
                           ///< multiprocessors. Results do not depend on it, the number of their sums' parts does.
  constexpr int out_height() const { return (height + 2 * pad - kernel_h) / stride + 1; }
  constexpr int out_width() const { return (width + 2 * pad - kernel_w) / stride + 1; }
  constexpr int taps() const { return kernel_h * kernel_w; }
  constexpr int rows() const { return height * width * images; }
  constexpr int out_rows() const { return out_height() * out_width() * images; }
  constexpr int pitch() const { return channels_pitch(channels); }
  constexpr int out_pitch() const { return channels_pitch(outputs); }
  /// The 1x1 convolution on gathered rows (nn/ops/conv2d_gather.h) that this one becomes; same weights in memory.
  constexpr ConvGeometry gathered() const {
    return {out_height(), out_width(), images, channels * taps(), outputs, 1, 1, 1, 0, least_blocks};
  }
};

/// Numbers of the packed weights of one direction: [tap][k / 16][column][16], k the channels that are summed over.
constexpr int64_t packed_weights(const ConvGeometry& g) {
  return static_cast<int64_t>(g.taps()) * g.pitch() * g.out_pitch();
}
/// Parts into which conv_backward_weights cuts its rows, and the floats of its workspace.
int weight_gradient_parts(const ConvGeometry& g);
int64_t weight_gradient_workspace(const ConvGeometry& g);

/// Sums of two quantities per channel over the rows of an activation: `parts` times [2][pitch] floats, part after part.
/// sum_parts(rows) of them from the functions that sum alone, conv_sum_parts(g) of them from conv_forward.
int sum_parts(int64_t rows);
int conv_sum_parts(const ConvGeometry& g);

/// Where conv_forward leaves sums of y - centre and (y - centre)^2: none where parts is null.
struct ConvSums {
  const float* centre = nullptr;  ///< [outputs], near the mean: the running mean
  float* parts = nullptr;
};

/// Batch normalization of one activation: z = (y - mean) * scale + shift.
struct NormLayer {
  int64_t rows = 0;  ///< H * W * N
  int channels = 0;
  double eps = 1e-5, momentum = 0.1;
  const float *weight = nullptr, *bias = nullptr;
  float *running_mean = nullptr, *running_var = nullptr;
  /// Four times [pitch]: mean, 1 / sqrt(variance + eps), scale, shift; 0 in the padding. Written by norm_finish or
  /// norm_fixed, read by the rest.
  float* coefficients = nullptr;
};

/// As nn::PoolOptions, with the extents of both sides. Requires: kernel <= 15.
struct PoolGeometry {
  int height = 0, width = 0, images = 0, channels = 0, out_height = 0, out_width = 0;
  int kernel = 2, stride = 2, pad = 0;
  bool count_include_pad = true;
};

/// y = x w^T + b on bf16 x.
struct LinearGeometry {
  int images = 0, channels = 0, outputs = 0;
};

/// What a batch adds to the tally of an epoch.
struct LossTally {
  double loss = 0;  ///< sum over batches of images * mean loss
  int64_t top1 = 0, top5 = 0, images = 0;
};

/// One parameter of a list that an optimiser updates together.
struct SgdParameter {
  float* p = nullptr;
  const float* gradient = nullptr;
  float* velocity = nullptr;  ///< null without momentum
  int64_t count = 0;
};
/// In the device's memory, so that a captured graph follows a schedule of learning rates.
struct SgdNumbers {
  float lr = 0, momentum = 0, decay = 0;
  int nesterov = 0;
  /// The sum of gradient_squares(); null: not looked at. Where it is not finite, nothing is updated.
  const double* squares = nullptr;
  double max_norm = 0;  ///< gradients are scaled by max_norm / (sqrt(*squares) + 1e-6) if that is below 1; 0: never
};
/// Doubles of gradient_squares()'s workspace.
constexpr int64_t gradient_squares_workspace(int parameters) { return int64_t{64} * parameters; }

/// Images in the device's memory and what their bytes become.
struct ImageSet {
  const uint8_t* rgb = nullptr;   ///< [image][height][width][3]
  const float* values = nullptr;  ///< [3][256]: the normalized pixel values
  int height = 0, width = 0;
};
/// An image as data/dataset.h augments it: shifted by (dy, dx) with black pixels around it, and mirrored.
/// Formula:  pixel (y, x) = picture (y + dy, (flip ? width - 1 - x : x) + dx)
struct CropChoice {
  int image = 0, dy = 0, dx = 0, flip = 0;
};

/// Channels from one activation to another: a part of a concatenation, the shortcut without parameters, and the way
/// back of both. Every number of the result is written once: y[(h, w, n)][lane] = x[(h', w', n)][lane - first +
/// x_first] for the lanes from `first` on, `channels` of them; all others are zero, or stay as they are where `keep`
/// says so.
/// Units: stride >= 1: h' = h * stride; stride <= -1: h' = h / -stride where that is whole, else zeros
struct ChannelCopy {
  const bf16* x = nullptr;
  bf16* y = nullptr;
  int x_pitch = 0, y_pitch = 0;
  int x_width = 0, height = 0, width = 0, images = 0;  ///< height, width of y
  int first = 0, x_first = 0, channels = 0;
  int stride = 1;
  bool keep = false;
};

/// A map whose channels and pixels become one row per image.
struct FlattenGeometry {
  int pixels = 0, images = 0, channels = 0;
  constexpr int pitch() const { return channels_pitch(channels); }
  constexpr int flat_pitch() const { return channels_pitch(channels * pixels); }
};

/// The functions of one side (simulated or cuda). Names and formulas as in nn/ops; what differs is said.
struct DeviceOps {
  /// w [O, C, kh, kw] f32 rounded to bf16, for either direction; null: not wanted.
  void (*pack_weights)(const ConvGeometry& g, const float* w, bf16* forward, bf16* backward, const DeviceQueue& queue);
  /// gather() of conv2d_gather.h.
  void (*gather)(const ConvGeometry& g, const bf16* x, bf16* gathered, const DeviceQueue& queue);
  /// Sums in float, tap after tap, 16 channels at a time; y is rounded once.
  void (*conv_forward)(const ConvGeometry& g, const bf16* x, const bf16* packed, bf16* y, const ConvSums& sums,
                       const DeviceQueue& queue);
  void (*conv_backward_data)(const ConvGeometry& g, const bf16* dy, const bf16* packed, bf16* dx,
                             const DeviceQueue& queue);
  /// dw [O, C, kh, kw] f32 is overwritten.
  void (*conv_backward_weights)(const ConvGeometry& g, const bf16* dy, const bf16* x, float* workspace, float* dw,
                                const DeviceQueue& queue);

  /// parts of sum_parts(rows): sums of y - centre and (y - centre)^2; centre [channels].
  void (*norm_sums)(const NormLayer& n, const bf16* y, const float* centre, float* parts, const DeviceQueue& queue);
  /// From `count` parts to coefficients and running statistics (centre may be the running mean).
  void (*norm_finish)(const NormLayer& n, const float* parts, int count, const float* centre, const DeviceQueue& queue);
  /// Coefficients from the running statistics.
  void (*norm_fixed)(const NormLayer& n, const DeviceQueue& queue);
  /// residual may be null. z may be y or residual.
  void (*normalize)(const NormLayer& n, const bf16* y, const bf16* residual, bool relu, bf16* z,
                    const DeviceQueue& queue);
  /// Gradients of training: parts of sum_parts(rows), backward three times [pitch] floats of workspace; z is the mask,
  /// null without ReLU; dresidual may be null; dy may be dz if dresidual is null, else dresidual may be dz.
  void (*normalize_backward)(const NormLayer& n, const bf16* dz, const bf16* z, const bf16* y, float* parts,
                             float* backward, bf16* dy, bf16* dresidual, float* dweight, float* dbias,
                             const DeviceQueue& queue);

  // Runs of `count` numbers, a multiple of 8; the result may be an operand.
  void (*add)(int64_t count, const bf16* a, const bf16* b, bf16* y, const DeviceQueue& queue);
  void (*relu)(int64_t count, const bf16* x, bf16* y, const DeviceQueue& queue);
  void (*relu_backward)(int64_t count, const bf16* dy, const bf16* y, bf16* dx, const DeviceQueue& queue);

  /// index [H'][W'][N][pitch]: the position (row after row, of the whole window) of the maximum, 255 where it is NaN;
  /// may be null.
  void (*max_pool)(const PoolGeometry& g, const bf16* x, bf16* y, uint8_t* index, const DeviceQueue& queue);
  void (*max_pool_backward)(const PoolGeometry& g, const bf16* dy, const uint8_t* index, bf16* dx,
                            const DeviceQueue& queue);
  void (*avg_pool)(const PoolGeometry& g, const bf16* x, bf16* y, const DeviceQueue& queue);
  void (*avg_pool_backward)(const PoolGeometry& g, const bf16* dy, bf16* dx, const DeviceQueue& queue);
  /// The window is the whole map: kernel, stride and pad are not read.
  void (*global_avg_pool)(const PoolGeometry& g, const bf16* x, bf16* y, const DeviceQueue& queue);
  void (*global_avg_pool_backward)(const PoolGeometry& g, const bf16* dy, bf16* dx, const DeviceQueue& queue);

  /// w [O, C]; y [N][channels_pitch(O)] f32.
  void (*linear)(const LinearGeometry& g, const bf16* x, const float* w, const float* b, float* y,
                 const DeviceQueue& queue);
  void (*linear_backward)(const LinearGeometry& g, const float* dy, const bf16* x, const float* w, bf16* dx, float* dw,
                          float* db, const DeviceQueue& queue);

  /// Loss of a batch into the tally, and dlogits (null: not wanted), both [images][pitch] f32. workspace: `images`
  /// doubles and as many ints, in this order. Labels must be in 0..classes-1.
  void (*cross_entropy)(int images, int classes, const float* logits, const int* labels, double smoothing,
                        float* dlogits, void* workspace, LossTally* tally, const DeviceQueue& queue);

  /// *squares = sum of all squared gradients of a list, in double: not finite where one of them is not.
  void (*gradient_squares)(const SgdParameter* parameters, int count, double* workspace, double* squares,
                           const DeviceQueue& queue);
  /// One launch for all parameters; the list is in the device's memory too, `largest` the greatest count.
  void (*sgd)(const SgdParameter* parameters, int count, int64_t largest, const SgdNumbers* numbers,
              const DeviceQueue& queue);

  /// x [height][width][images][3] from choices [images], which are in the device's memory.
  void (*crop_images)(const ImageSet& set, const CropChoice* choices, int images, bf16* x, const DeviceQueue& queue);

  void (*copy_channels)(const ChannelCopy& copy, const DeviceQueue& queue);
  /// flat[n][c * pixels + p] = x[(p, n)][c], the rest of each row zero; and back.
  void (*flatten)(const FlattenGeometry& g, const bf16* x, bf16* flat, const DeviceQueue& queue);
  void (*unflatten)(const FlattenGeometry& g, const bf16* flat, bf16* x, const DeviceQueue& queue);
};
/// Those of a device.
const DeviceOps& device_ops(const Device& device);

}  // namespace nn
}  // namespace kronbit
