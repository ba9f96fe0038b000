#include "nn/ops/batch_norm.h"

#include <cmath>

#include "nn/ops/channel_rows.h"

namespace kronbit::nn {
namespace {

double inverse_deviation(const ChannelMoments& moments, size_t c, double eps) {
  return 1.0 / std::sqrt(moments.variance[c] + eps);
}

ChannelMoments running_moments(const Tensor& mean, const Tensor& variance) {
  return {padded_channels<double>(mean, mean.count()), padded_channels<double>(variance, variance.count())};
}

}  // namespace

ChannelMoments channel_moments(const Tensor& x) {
  const int64_t pitch = x.pitch();
  const ChannelSums sums = visit_float(x.dtype(), [&]<class T>() {
    return sum_rows(x, [&](int64_t r, double* sum, double* squares) {
      const T* in = x.row<T>(r);
#pragma omp simd
      for (int64_t c = 0; c < pitch; ++c) {
        const double v = static_cast<double>(in[c]);
        sum[c] += v;
        squares[c] += v * v;
      }
    });
  });
  const double count = static_cast<double>(x.rows());
  ChannelMoments moments;
  for (size_t c = 0; c < static_cast<size_t>(x.cols()); ++c) {
    const double mean = sums.first[c] / count;
    moments.mean.push_back(mean);
    // Rounding can leave a tiny negative number; std::max keeps a NaN when it is the first argument.
    moments.variance.push_back(std::max(sums.second[c] / count - mean * mean, 0.0));
  }
  return moments;
}

Tensor batch_norm_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const ChannelMoments& moments,
                          double eps) {
  const int64_t pitch = x.pitch();
  KB_CHECK(weight.count() == x.cols() && bias.count() == x.cols());
  Tensor y = Tensor::uninitialized_like(x);
  visit_float(x.dtype(), [&]<class T>() {
    std::vector<T> mean(static_cast<size_t>(pitch), T(0)), scale = padded_channels<T>(weight, pitch);
    const std::vector<T> shift = padded_channels<T>(bias, pitch);
    for (size_t c = 0; c < moments.mean.size(); ++c) {
      mean[c] = static_cast<T>(moments.mean[c]);
      scale[c] = static_cast<T>(static_cast<double>(scale[c]) * inverse_deviation(moments, c, eps));
    }
    const T *m = mean.data(), *s = scale.data(), *b = shift.data();
    parallel_for(x.rows(), rows_per_chunk(x), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T* in = x.row<T>(r);
        T* out = y.row<T>(r);
#pragma omp simd
        for (int64_t c = 0; c < pitch; ++c) out[c] = (in[c] - m[c]) * s[c] + b[c];
      }
    });
  });
  return y;
}

BatchNormGradients batch_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight,
                                       const ChannelMoments& moments, double eps, bool moments_of_x) {
  const int64_t pitch = x.pitch();
  KB_CHECK(dy.shape() == x.shape() && dy.pitch() == pitch);
  const auto lanes = static_cast<size_t>(pitch);
  std::vector<double> mean(lanes, 0.0);
  std::copy(moments.mean.begin(), moments.mean.end(), mean.begin());
  BatchNormGradients grads;
  visit_float(x.dtype(), [&]<class T>() {
    const double* m = mean.data();
    ChannelSums sums = sum_rows(x, [&](int64_t r, double* sum_dy, double* sum_dy_x) {
      const T *in = x.row<T>(r), *g = dy.row<T>(r);
#pragma omp simd
      for (int64_t c = 0; c < pitch; ++c) {
        const double v = static_cast<double>(g[c]);
        sum_dy[c] += v;
        sum_dy_x[c] += v * (static_cast<double>(in[c]) - m[c]);
      }
    });
    // dx = a dy + b (x - mean) + d per channel; zero coefficients keep the padding lanes zero.
    const std::vector<double> w = padded_channels<double>(weight, pitch);
    const double count = static_cast<double>(x.rows());
    std::vector<T> a(lanes, T(0)), b(lanes, T(0)), d(lanes, T(0)), centre(lanes, T(0));
    for (size_t c = 0; c < moments.mean.size(); ++c) {
      const double inverse = inverse_deviation(moments, c, eps), dweight = sums.second[c] * inverse;
      a[c] = static_cast<T>(w[c] * inverse);
      centre[c] = static_cast<T>(mean[c]);
      if (moments_of_x) {
        b[c] = static_cast<T>(-w[c] * inverse * inverse * dweight / count);
        d[c] = static_cast<T>(-w[c] * inverse * sums.first[c] / count);
      }
      sums.second[c] = dweight;
    }
    grads.dweight = ChannelSums::tensor(sums.second, x.cols(), weight.dtype());
    grads.dbias = ChannelSums::tensor(sums.first, x.cols(), weight.dtype());
    grads.dx = Tensor::uninitialized_like(x);
    const T *pa = a.data(), *pb = b.data(), *pd = d.data(), *pm = centre.data();
    parallel_for(x.rows(), rows_per_chunk(x), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T *in = x.row<T>(r), *g = dy.row<T>(r);
        T* out = grads.dx.row<T>(r);
#pragma omp simd
        for (int64_t c = 0; c < pitch; ++c) out[c] = pa[c] * g[c] + (pb[c] * (in[c] - pm[c]) + pd[c]);
      }
    });
  });
  return grads;
}

void update_running_statistics(Tensor& running_mean, Tensor& running_var, const ChannelMoments& moments, int64_t count,
                               double momentum) {
  KB_CHECK(count > 1);
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  visit_float(running_mean.dtype(), [&]<class T>() {
    for (size_t c = 0; c < moments.mean.size(); ++c) {
      T& mean = running_mean.data<T>()[c];
      T& variance = running_var.data<T>()[c];
      mean = static_cast<T>((1 - momentum) * static_cast<double>(mean) + momentum * moments.mean[c]);
      variance =
          static_cast<T>((1 - momentum) * static_cast<double>(variance) + momentum * unbiased * moments.variance[c]);
    }
  });
}

Var batch_norm(const Var& x, const Var& weight, const Var& bias, Var& running_mean, Var& running_var, bool training,
               const BatchNormOptions& options) {
  const Tensor& in = x.value();
  ChannelMoments moments;
  if (training) {
    if (in.rows() < 2) {
      input_error("batch_norm", "training: wanted more than one value per channel, got {} (use larger batches)",
                  in.shape().text());
    }
    moments = channel_moments(in);
    update_running_statistics(running_mean.value(), running_var.value(), moments, in.rows(), options.momentum);
  } else {
    moments = running_moments(running_mean.value(), running_var.value());
  }
  Tensor y = batch_norm_forward(in, weight.value(), bias.value(), moments, options.eps);
  return record(std::move(y), {x, weight, bias},
                [x, weight, bias, moments = std::move(moments), eps = options.eps, training](const Tensor& dy) {
                  BatchNormGradients g = batch_norm_backward(dy, x.value(), weight.value(), moments, eps, training);
                  x.add_grad(std::move(g.dx));
                  weight.add_grad(std::move(g.dweight));
                  bias.add_grad(std::move(g.dbias));
                });
}

BatchNorm::BatchNorm(int64_t channels, const BatchNormOptions& options) : channels_(channels), options_(options) {
  if (channels < 1) input_error("batch_norm", "channels: wanted at least 1, got {}", channels);
  if (!(options.eps > 0) || !(options.momentum >= 0 && options.momentum <= 1)) {
    input_error("batch_norm", "wanted eps > 0 and momentum in [0, 1], got {} and {}", options.eps, options.momentum);
  }
}

std::string BatchNorm::describe() const { return fmt::format("{} channels", channels_); }

Shape BatchNorm::output_shape(std::span<const Shape> inputs) const {
  if (inputs[0].rank() != 4 || inputs[0][3] != channels_) {
    input_error("batch_norm", "x: wanted [H, W, N, {}], got {}", channels_, inputs[0].text());
  }
  return inputs[0];
}

std::vector<ParameterSpec> BatchNorm::parameters() const {
  const Shape shape{channels_};
  return {{"weight", shape, Role::Scale},
          {"bias", shape, Role::Shift},
          {"running_mean", shape, Role::Mean},
          {"running_var", shape, Role::Variance}};
}

Var BatchNorm::apply(std::span<const Var> inputs, std::span<Var> parameters, const RunContext& context) const {
  return batch_norm(inputs[0], parameters[0], parameters[1], parameters[2], parameters[3], context.training, options_);
}

}  // namespace kronbit::nn
