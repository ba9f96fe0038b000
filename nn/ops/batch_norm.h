// Batch normalisation over all pixels and images of a channel.
#pragma once

#include "nn/network.h"

namespace kronbit::nn {

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;  ///< weight of the new batch in the running statistics
};

/// Mean and biased variance of every channel, over H*W*N values.
struct ChannelMoments {
  std::vector<double> mean, variance;  ///< C each
};

/// Formula:  mean = sum x / M; variance = sum (x - mean)^2 / M, M = H*W*N
/// Shapes:   x [H][W][N][C], f32, f64 or bf16
/// Exactness: every channel is shifted by a mean of some of its numbers first, so that a large mean costs no digits;
///           sums as RowKernels::add_moments says, over fixed chunks of rows folded in order: the same for any number
///           of threads
ChannelMoments channel_moments(const Tensor& x);

/// The moments from sums that somebody gathered with RowKernels::add_moments, for instance a convolution from rows it
/// has just written.
/// Shapes:   sum, squares, centre: at least `channels` numbers; count: numbers per channel
ChannelMoments moments_from_sums(const std::vector<double>& sum, const std::vector<double>& squares,
                                 const std::vector<float>& centre, int64_t channels, int64_t count);

/// The running statistics as moments: those of inference.
ChannelMoments running_moments(const Tensor& running_mean, const Tensor& running_var);

/// A normalization as it is applied: z = (y - mean) * scale + shift.
struct NormCoefficients {
  std::vector<double> mean, scale, shift;  ///< C each
};
/// Formula:  scale = weight / sqrt(variance + eps); shift = bias
NormCoefficients norm_coefficients(const ChannelMoments& moments, const Tensor& weight, const Tensor& bias, double eps);

/// Formula:  z = (y - mean) * scale + shift [+ residual]; with relu max(z, 0)
/// Shapes:   y, residual (null: none), z: equal shapes, pitches and types; f32, f64 or bf16
Tensor normalize(const Tensor& y, const NormCoefficients& with, const Tensor* residual, bool relu);

struct NormGradients {
  Tensor dy;
  Tensor dweight, dbias;  ///< of weight's type
  Tensor residual;        ///< the gradient of what was added, if asked for; it is dz itself where nothing masks it
};
/// Formula:  g = dz, with z (not null: there was a ReLU) z <= 0 ? 0 : dz;
///           with n = (y - mean) / sqrt(variance + eps): dweight = sum g n; dbias = sum g;
///           dy = weight / sqrt(variance + eps) * (g - dbias / M - n dweight / M) if the moments are those of y,
///           and without the last two terms if they are constants (running statistics); the residual's gradient is g
/// Shapes:   dz, y, z, dy: equal shapes, pitches and types; weight [C], f32 for bf16
NormGradients normalize_backward(const Tensor& dz, const Tensor& y, const Tensor* z, const Tensor& weight,
                                 const ChannelMoments& moments, double eps, bool moments_of_y,
                                 bool want_residual_gradient);

/// Formula:  running += momentum * (batch - running), the batch variance unbiased: variance M / (M - 1)
/// Requires: M = count > 1
void update_running_statistics(Tensor& running_mean, Tensor& running_var, const ChannelMoments& moments, int64_t count,
                               double momentum);

/// Throws: InputError when x [H, W, N, C] has a single value per channel: its variance is 0 and the output would be
///         `bias` whatever the input, so training refuses it, as PyTorch does.
void check_values_per_channel(const Shape& x);

/// Training: normalises with the batch's moments and updates the running statistics. Otherwise: uses the running ones.
/// Throws: InputError when training with a single value per channel.
Var batch_norm(const Var& x, const Var& weight, const Var& bias, Var& running_mean, Var& running_var, bool training,
               const BatchNormOptions& options = {});

/// Parameters: weight, bias, running_mean, running_var, [C] each.
class BatchNorm : public Op {
 public:
  explicit BatchNorm(int64_t channels, const BatchNormOptions& options = {});
  std::string_view kind() const override { return "batch_norm"; }
  std::string describe() const override;
  Shape output_shape(std::span<const Shape> inputs) const override;
  std::vector<ParameterSpec> parameters() const override;
  Var apply(std::span<const Var> inputs, std::span<Var> parameters, const RunContext& context) const override;
  int64_t channels() const { return channels_; }
  const BatchNormOptions& options() const { return options_; }

 private:
  int64_t channels_;
  BatchNormOptions options_;
};

}  // namespace kronbit::nn
