#include "nn/ops/conv_norm.h"

#include "nn/ops/channel_rows.h"
#include "nn/ops/conv2d_gather.h"
#include "nn/ops/conv2d_products.h"
#include "tensor/rows/rows.h"

namespace kronbit::nn {
namespace {

/// Calls f with float or bf16: double is never fused (it serves to check the operators one by one).
template <class F>
void visit_f32_or_bf16(DType type, F&& f) {
  if (type == DType::BF16) {
    f.template operator()<bf16>();
  } else {
    KB_CHECK(type == DType::F32);
    f.template operator()<float>();
  }
}

/// The moments of a convolution's result, added up block by block while it is being made.
class MomentSums {
 public:
  MomentSums(const Shape& result, const Conv2dOptions& options, const Tensor& running_mean)
      : pitch_(pitch_of(result[3])),
        groups_(row_groups(result, options)),
        count_(result[0] * result[1] * result[2]),
        centre_(padded_channels<float>(running_mean, pitch_)),
        sums_(static_cast<size_t>(2 * groups_ * pitch_), 0.0) {}

  void add(const Tensor& y, const RowBlock& block) {
    double* sum = sums_.data() + 2 * block.group * pitch_ + block.first_lane;
    visit_f32_or_bf16(y.dtype(), [&]<class T>() {
      row_kernels<T>().add_moments({block.rows, block.lanes, pitch_}, y.row<T>(block.first_row) + block.first_lane,
                                   centre_.data() + block.first_lane, sum, sum + pitch_);
    });
  }

  ChannelMoments moments(int64_t channels) const {
    std::vector<double> sum(static_cast<size_t>(pitch_), 0.0), squares(sum);
    for (int64_t g = 0; g < groups_; ++g) {
      for (int64_t c = 0; c < channels; ++c) {
        sum[static_cast<size_t>(c)] += sums_[static_cast<size_t>(2 * g * pitch_ + c)];
        squares[static_cast<size_t>(c)] += sums_[static_cast<size_t>((2 * g + 1) * pitch_ + c)];
      }
    }
    return moments_from_sums(sum, squares, centre_, channels, count_);
  }

 private:
  int64_t pitch_, groups_, count_;
  std::vector<float> centre_;
  std::vector<double> sums_;  // [group][sum, squares][pitch]
};

Var train(const std::shared_ptr<const Convolution>& layer, const BatchNormOptions& norm, const Var& x,
          const Var& residual, std::span<Var> parameters, bool relu) {
  Var w = parameters[0], weight = parameters[1], bias = parameters[2];
  const Conv2dOptions o = layer->options();
  const Tensor input = layer->input(x.value());
  const Shape shape = conv2d_output_shape(input, o);
  check_values_per_channel(shape);
  // Rows gathered for the forward product serve the gradient of the weights too. A quantized input is made again then:
  // that costs less than a third more memory for all activations.
  const bool gathering = gathers(o);
  const Conv2dOptions product = gathering ? gathered(o) : o;
  const Tensor rows = gathering ? gather(input, o) : input, kept_rows = gathering ? rows : Tensor();
  PackedConvWeights packed = pack_conv2d(layer->weights(w.value()), input.dtype(), o, x.requires_grad());
  MomentSums sums(shape, product, parameters[3].value());
  Tensor y = conv2d_forward(rows, packed, product, [&](Tensor& to, const RowBlock& block) { sums.add(to, block); });
  packed.forward = Tensor();
  ChannelMoments moments = sums.moments(shape[3]);
  update_running_statistics(parameters[3].value(), parameters[4].value(), moments, y.rows(), norm.momentum);
  Tensor z = normalize(y, norm_coefficients(moments, weight.value(), bias.value(), norm.eps),
                       residual.defined() ? &residual.value() : nullptr, relu);
  std::vector<Var> inputs{x, w, weight, bias};
  if (residual.defined()) inputs.push_back(residual);
  return record(z, std::move(inputs), [=, moments = std::move(moments), mask = relu ? z : Tensor()](const Tensor& dz) {
    NormGradients g = normalize_backward(dz, y, relu ? &mask : nullptr, weight.value(), moments, norm.eps, true,
                                         residual.requires_grad());
    weight.add_grad(std::move(g.dweight));
    bias.add_grad(std::move(g.dbias));
    if (residual.requires_grad()) residual.add_grad(std::move(g.residual));
    if (w.requires_grad()) {
      const Tensor operand = gathering ? kept_rows : layer->input(x.value());
      w.add_grad(conv2d_backward_weights(g.dy, operand, product).reshaped(w.value().shape()));
    }
    if (x.requires_grad())
      x.add_grad(layer->input_gradient(conv2d_backward_data(g.dy, packed, x.value().shape(), o), x.value()));
  });
}

Var infer(const Convolution& layer, const BatchNormOptions& norm, const Var& x, const Var& residual,
          std::span<const Var> parameters, bool relu, ConvWeightCache* cache) {
  const Tensor input = layer.input(x.value());
  const Tensor& w = parameters[0].value();
  const Shape shape = conv2d_output_shape(input, layer.options());
  const int64_t pitch = pitch_of(shape[3]);
  const NormCoefficients with = norm_coefficients(running_moments(parameters[3].value(), parameters[4].value()),
                                                  parameters[1].value(), parameters[2].value(), norm.eps);
  const std::vector<float> mean = padded_channels<float>(with.mean, pitch),
                           scale = padded_channels<float>(with.scale, pitch),
                           shift = padded_channels<float>(with.shift, pitch);
  ConvWeightCache once;
  const PackedConvWeights& packed = (cache ? *cache : once).get(layer, w, input.dtype());
  return Var(conv2d_forward(input, packed, layer.options(), [&](Tensor& rows, const RowBlock& b) {
    visit_f32_or_bf16(rows.dtype(), [&]<class T>() {
      T* const y = rows.row<T>(b.first_row) + b.first_lane;
      const T* const add = residual.defined() ? residual.value().row<T>(b.first_row) + b.first_lane : nullptr;
      row_kernels<T>().normalize({b.rows, b.lanes, pitch}, y,
                                 {mean.data() + b.first_lane, scale.data() + b.first_lane, shift.data() + b.first_lane},
                                 add, relu, y);
    });
  }));
}

}  // namespace

Var conv_norm(const std::shared_ptr<const Convolution>& layer, const BatchNormOptions& norm, const Var& x,
              const Var& residual, std::span<Var> parameters, bool relu, const RunContext& context) {
  if (context.training) return train(layer, norm, x, residual, parameters, relu);
  return infer(*layer, norm, x, residual, parameters, relu, context.weights);
}

}  // namespace kronbit::nn
