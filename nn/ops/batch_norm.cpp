#include "nn/ops/batch_norm.h"

#include <cmath>

#include "nn/ops/channel_rows.h"

namespace kronbit::nn {
namespace {

double inverse_deviation(const ChannelMoments& moments, size_t c, double eps) {
  return 1.0 / std::sqrt(moments.variance[c] + eps);
}

/// Close to the mean of every channel: the mean of at most 16 rows spread over x.
template <class T>
std::vector<Arithmetic<T>> centre_of(const Tensor& x) {
  const int64_t samples = std::min<int64_t>(x.rows(), 16);
  std::vector<double> sum(static_cast<size_t>(x.cols()), 0.0);
  for (int64_t s = 0; s < samples; ++s) {
    const T* row = x.row<T>(x.rows() * s / samples);
    for (size_t c = 0; c < sum.size(); ++c) sum[c] += static_cast<double>(row[c]) / static_cast<double>(samples);
  }
  return padded_channels<Arithmetic<T>>(sum, x.pitch());
}

template <class A>
ChannelMoments moments_around(const std::vector<double>& sum, const std::vector<double>& squares,
                              const std::vector<A>& centre, int64_t channels, int64_t count) {
  ChannelMoments moments;
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    const double shift = sum[c] / static_cast<double>(count);
    moments.mean.push_back(static_cast<double>(centre[c]) + shift);
    // Rounding can leave a tiny negative number; std::max keeps a NaN when it is the first argument.
    moments.variance.push_back(std::max(squares[c] / static_cast<double>(count) - shift * shift, 0.0));
  }
  return moments;
}

}  // namespace

ChannelMoments channel_moments(const Tensor& x) {
  return visit_number(x.dtype(), [&]<class T>() {
    const RowKernels<T>& kernels = row_kernels<T>();
    const std::vector<Arithmetic<T>> centre = centre_of<T>(x);
    const ChannelSums sums = sum_rows(x, [&](int64_t begin, int64_t end, double* sum, double* squares) {
      kernels.add_moments(row_range(x, begin, end), x.row<T>(begin), centre.data(), sum, squares);
    });
    return moments_around(sums.first, sums.second, centre, x.cols(), x.rows());
  });
}

ChannelMoments moments_from_sums(const std::vector<double>& sum, const std::vector<double>& squares,
                                 const std::vector<float>& centre, int64_t channels, int64_t count) {
  return moments_around(sum, squares, centre, channels, count);
}

ChannelMoments running_moments(const Tensor& mean, const Tensor& variance) {
  return {padded_channels<double>(mean, mean.count()), padded_channels<double>(variance, variance.count())};
}

NormCoefficients norm_coefficients(const ChannelMoments& moments, const Tensor& weight, const Tensor& bias,
                                   double eps) {
  const int64_t channels = weight.count();
  KB_CHECK_EQ(static_cast<int64_t>(moments.mean.size()), channels);
  KB_CHECK_EQ(bias.count(), channels);
  NormCoefficients with{moments.mean, padded_channels<double>(weight, channels),
                        padded_channels<double>(bias, channels)};
  for (size_t c = 0; c < with.scale.size(); ++c) with.scale[c] *= inverse_deviation(moments, c, eps);
  return with;
}

Tensor normalize(const Tensor& y, const NormCoefficients& with, const Tensor* residual, bool relu) {
  const int64_t pitch = y.pitch();
  KB_CHECK_EQ(static_cast<int64_t>(with.mean.size()), y.cols());
  KB_CHECK(!residual || (residual->shape() == y.shape() && residual->pitch() == pitch));
  Tensor z = Tensor::uninitialized_like(y);
  visit_number(y.dtype(), [&]<class T>() {
    using A = Arithmetic<T>;
    const RowKernels<T>& kernels = row_kernels<T>();
    const std::vector<A> mean = padded_channels<A>(with.mean, pitch), scale = padded_channels<A>(with.scale, pitch),
                         shift = padded_channels<A>(with.shift, pitch);
    parallel_for(y.rows(), rows_per_chunk(y), [&](int64_t begin, int64_t end) {
      kernels.normalize(row_range(y, begin, end), y.row<T>(begin), {mean.data(), scale.data(), shift.data()},
                        residual ? residual->row<T>(begin) : nullptr, relu, z.row<T>(begin));
    });
  });
  return z;
}

NormGradients normalize_backward(const Tensor& dz, const Tensor& y, const Tensor* z, const Tensor& weight,
                                 const ChannelMoments& moments, double eps, bool moments_of_y,
                                 bool want_residual_gradient) {
  const int64_t pitch = y.pitch();
  KB_CHECK(dz.shape() == y.shape() && dz.pitch() == pitch);
  KB_CHECK(!z || (z->shape() == y.shape() && z->pitch() == pitch));
  NormGradients grads;
  grads.dy = Tensor::uninitialized_like(y);
  if (want_residual_gradient) grads.residual = z ? Tensor::uninitialized_like(y) : dz;
  visit_number(y.dtype(), [&]<class T>() {
    using A = Arithmetic<T>;
    const RowKernels<T>& kernels = row_kernels<T>();
    const std::vector<A> mean = padded_channels<A>(moments.mean, pitch);
    const auto mask = [&](int64_t row) { return z ? z->row<T>(row) : nullptr; };
    ChannelSums sums = sum_rows(y, [&](int64_t begin, int64_t end, double* sum, double* products) {
      kernels.add_gradient_moments(row_range(y, begin, end), dz.row<T>(begin), mask(begin), y.row<T>(begin),
                                   mean.data(), sum, products);
    });
    // dy = a g + b (y - mean) + d per channel; zero coefficients keep the padding lanes zero.
    const std::vector<double> w = padded_channels<double>(weight, pitch);
    const double count = static_cast<double>(y.rows());
    std::vector<A> a(w.size(), A(0)), b(w.size(), A(0)), d(w.size(), A(0));
    for (size_t c = 0; c < moments.mean.size(); ++c) {
      const double inverse = inverse_deviation(moments, c, eps), dweight = sums.second[c] * inverse;
      a[c] = static_cast<A>(w[c] * inverse);
      if (moments_of_y) {
        b[c] = static_cast<A>(-w[c] * inverse * inverse * dweight / count);
        d[c] = static_cast<A>(-w[c] * inverse * sums.first[c] / count);
      }
      sums.second[c] = dweight;
    }
    grads.dweight = ChannelSums::tensor(sums.second, y.cols(), weight.dtype());
    grads.dbias = ChannelSums::tensor(sums.first, y.cols(), weight.dtype());
    parallel_for(y.rows(), rows_per_chunk(y), [&](int64_t begin, int64_t end) {
      kernels.normalize_backward(row_range(y, begin, end), dz.row<T>(begin), mask(begin), y.row<T>(begin),
                                 {mean.data(), a.data(), b.data(), d.data()}, grads.dy.row<T>(begin),
                                 z && want_residual_gradient ? grads.residual.row<T>(begin) : nullptr);
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

void check_values_per_channel(const Shape& x) {
  if (x[0] * x[1] * x[2] >= 2) return;
  input_error("batch_norm", "training: wanted more than one value per channel, got {} (use larger batches)", x.text());
}

Var batch_norm(const Var& x, const Var& weight, const Var& bias, Var& running_mean, Var& running_var, bool training,
               const BatchNormOptions& options) {
  const Tensor& in = x.value();
  ChannelMoments moments;
  if (training) {
    check_values_per_channel(in.shape());
    moments = channel_moments(in);
    update_running_statistics(running_mean.value(), running_var.value(), moments, in.rows(), options.momentum);
  } else {
    moments = running_moments(running_mean.value(), running_var.value());
  }
  Tensor y = normalize(in, norm_coefficients(moments, weight.value(), bias.value(), options.eps), nullptr, false);
  return record(std::move(y), {x, weight, bias},
                [x, weight, bias, moments = std::move(moments), eps = options.eps, training](const Tensor& dy) {
                  NormGradients g =
                      normalize_backward(dy, x.value(), nullptr, weight.value(), moments, eps, training, false);
                  x.add_grad(std::move(g.dy));
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
