#include "quant/kernels/reference.h"

#include <cmath>

#include "tensor/parallel.h"

namespace kronbit::quant {
namespace {

// The integers of all taps of output channel o: [kh][kw][C].
std::vector<int8_t> filter_of(const PackedLayer& layer, int64_t o) {
  const int64_t taps = layer.shape[2] * layer.shape[3];
  std::vector<int8_t> q(static_cast<size_t>(taps * layer.shape[1]));
  int8_t* to = q.data();
  for (int64_t t = 0; t < taps; ++t) {
    const uint8_t* planes = layer.planes.data() + (o * taps + t) * layer.position_bytes();
    for (int64_t k = 0; k < layer.blocks(); ++k) {
      const int64_t lanes = layer.lanes(k);
      unpack_block(planes, lanes, layer.bits, layer.mode, to);
      planes += layer.bits * ((lanes + 7) / 8);
      to += lanes;
    }
  }
  return q;
}

// y from add(row of x, block, integers, multiplier, sum): the sum with one block's share of an output.
template <class Add>
Tensor sum_of_blocks(const Tensor& x, const PackedLayer& layer, const nn::Conv2dOptions& conv, const Add& add) {
  const Shape shape = nn::conv2d_output_shape(x.shape(), conv);
  const int64_t images = x.images(), taps = conv.kernel_h * conv.kernel_w, c = conv.in_channels;
  Tensor y = Tensor::activation(shape[0], shape[1], images, shape[3]);
  float* out = y.data<float>();
  parallel_for(conv.out_channels, 1, [&](int64_t o, int64_t) {
    const std::vector<int8_t> q = filter_of(layer, o);
    const float* multipliers = layer.multipliers.data() + o * taps * layer.blocks();
    for (int64_t row = 0; row < y.rows(); ++row) {
      const int64_t h = row / (shape[1] * images), w = row / images % shape[1], n = row % images;
      float sum = 0;
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t u = h * conv.stride - conv.pad + t / conv.kernel_w;
        const int64_t v = w * conv.stride - conv.pad + t % conv.kernel_w;
        if (u < 0 || u >= x.height() || v < 0 || v >= x.width()) continue;
        for (int64_t k = 0; k < layer.blocks(); ++k)
          sum = add((u * x.width() + v) * images + n, k, q.data() + t * c + k * layer.block,
                    multipliers[t * layer.blocks() + k], sum);
      }
      out[row * y.pitch() + o] = sum;
    }
  });
  return y;
}

}  // namespace

Tensor packed_conv_reference(const Tensor& x, const PackedLayer& layer, const nn::Conv2dOptions& conv,
                             const ActivationFormat& format) {
  KB_CHECK_EQ(format.block, layer.block);
  const QuantizedActivations a = activation_mantissas(x, format);
  return sum_of_blocks(x, layer, conv, [&](int64_t row, int64_t k, const int8_t* q, float multiplier, float sum) {
    const int16_t* m = a.mantissas.data() + row * a.channels + k * layer.block;
    int32_t dot = 0;
    for (int64_t i = 0; i < layer.lanes(k); ++i) dot += q[i] * m[i];
    const float scale = std::ldexp(multiplier, a.exponents[static_cast<size_t>(row * a.blocks + k)]);
    return std::fma(static_cast<float>(dot), scale, sum);
  });
}

Tensor packed_conv_reference(const Tensor& x, const PackedLayer& layer, const nn::Conv2dOptions& conv) {
  return sum_of_blocks(x, layer, conv, [&](int64_t row, int64_t k, const int8_t* q, float multiplier, float sum) {
    const float* m = x.row<float>(row) + k * layer.block;
    for (int64_t i = 0; i < layer.lanes(k); ++i) sum = std::fma(m[i], multiplier * static_cast<float>(q[i]), sum);
    return sum;
  });
}

}  // namespace kronbit::quant
