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
/// Shapes:   x [H][W][N][C], f32 or f64
/// Exactness: sums in double, over fixed chunks of rows folded in order: the same for any number of threads
ChannelMoments channel_moments(const Tensor& x);

/// Formula:  y = (x - mean) / sqrt(variance + eps) * weight + bias
/// Shapes:   x, y [H][W][N][C]; weight, bias [C]
Tensor batch_norm_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const ChannelMoments& moments,
                          double eps);

struct BatchNormGradients {
  Tensor dx, dweight, dbias;
};
/// Formula:  with n = (x - mean) / sqrt(variance + eps): dweight = sum dy n; dbias = sum dy;
///           dx = weight / sqrt(variance + eps) * (dy - dbias / M - n dweight / M) if the moments are those of x,
///           and without the last two terms if they are constants (running statistics)
BatchNormGradients batch_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight,
                                       const ChannelMoments& moments, double eps, bool moments_of_x);

/// Formula:  running += momentum * (batch - running), the batch variance unbiased: variance M / (M - 1)
/// Requires: M = count > 1
void update_running_statistics(Tensor& running_mean, Tensor& running_var, const ChannelMoments& moments, int64_t count,
                               double momentum);

/// Training: normalises with the batch's moments and updates the running statistics. Otherwise: uses the running ones.
/// Throws: InputError when training with a single value per channel (its variance is 0 and the output would be `bias`
/// whatever the input), as PyTorch does.
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
