// Block floating point: the shared step comes from the bits of the largest magnitude, then one rounding per value.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "quant/quantizer.h"
#include "tensor/bits.h"
#include "tensor/parallel.h"

namespace kronbit::quant {
namespace {

constexpr int kInfinite = 126;         // from 2^126 on, M counts as infinite: every step and value stays a float
constexpr int kTiny = -110;            // below 2^-110 the reciprocal of the step may overflow: see quantize_tiny()
constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding and subtracting it rounds half to even

// The step of one block, as its exponent, and what the block is.
struct Step {
  enum Kind { Zero, Normal, Tiny, Infinite } kind;
  int exponent;
  float value() const { return std::bit_cast<float>((exponent + 127) << 23); }       // Normal only
  float reciprocal() const { return std::bit_cast<float>((127 - exponent) << 23); }  // Normal only
};

// Magnitudes compare as the integers their bits are, NaN excepted, which is left out of M and stays by itself.
[[gnu::always_inline]] inline Step step_of(const float* x, int64_t n, const ActivationFormat& format) {
  constexpr int32_t kInfinity = 0x7f800000;
  int32_t top = 0;
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < n; ++i) {
    int32_t magnitude = std::bit_cast<int32_t>(x[i]) & 0x7fffffff;
    magnitude = magnitude > kInfinity ? 0 : magnitude;
    top = magnitude > top ? magnitude : top;
  }
  const int offset = (format.is_signed ? 2 : 1) - format.bits;
  if (top == 0) return {Step::Zero, 0};
  const int field = top >> 23;
  if (field >= 127 + kInfinite) return {Step::Infinite, 0};
  if (field >= 127 + kTiny) return {Step::Normal, field - 127 + offset};
  const int e = field > 0 ? field - 127 : 31 - std::countl_zero(static_cast<uint32_t>(top)) - 149;
  return {Step::Tiny, std::max(e + offset, -149)};
}

double tiny_mantissa(float x, const Step& step) {
  return std::nearbyint(std::ldexp(static_cast<double>(x), -step.exponent));
}

// Blocks of a multiple of 32 cover the padding lanes and write their zeros; others leave them alone.
Tensor output_like(const Tensor& x, const ActivationFormat& format) {
  return format.block % kBlock == 0 ? Tensor::uninitialized_like(x) : Tensor::zeros_like(x);
}

// Calls body(row, first channel, channels) for every block; whole blocks of 32 include the zero padding lanes, so
// their inner loops have a constant length.
template <class Body>
void for_each_block(const Tensor& x, const ActivationFormat& format, const Body& body) {
  KB_CHECK(x.dtype() == DType::F32);
  check_bits("quantizer", {format.bits}, 1);
  check_block(format.block);
  const int64_t lanes = format.block % kBlock == 0 ? x.pitch() : x.cols();
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, lanes));
  parallel_for(x.rows(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t c = 0; c < lanes; c += format.block) body(r, c, std::min(format.block, lanes - c));
  });
}

[[gnu::always_inline]] inline void quantize_block(const float* x, float* y, int64_t n, const ActivationFormat& format) {
  const Step step = step_of(x, n, format);
  const float lowest = static_cast<float>(format.lowest()), highest = static_cast<float>(format.highest());
  if (step.kind == Step::Normal) {
    const float value = step.value(), reciprocal = step.reciprocal();
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      float m = (x[i] * reciprocal + kRound) - kRound;
      m = m < lowest ? lowest : m;
      m = m > highest ? highest : m;
      y[i] = m * value;
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    if (step.kind == Step::Infinite || std::isnan(x[i])) {
      y[i] = std::numeric_limits<float>::quiet_NaN();
    } else if (step.kind == Step::Zero) {
      y[i] = 0;
    } else {
      const double m = std::clamp<double>(tiny_mantissa(x[i], step), format.lowest(), format.highest());
      y[i] = static_cast<float>(std::ldexp(m, step.exponent));
    }
  }
}

[[gnu::always_inline]] inline void backward_block(const float* dy, const float* x, float* dx, int64_t n,
                                                  const ActivationFormat& format) {
  const Step step = step_of(x, n, format);
  const float lowest = static_cast<float>(format.lowest()), highest = static_cast<float>(format.highest());
  if (step.kind == Step::Normal) {
    const float reciprocal = step.reciprocal();
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float m = (x[i] * reciprocal + kRound) - kRound;
      const float g = dy[i], above = m < lowest ? 0.0f : g;
      dx[i] = m > highest ? 0.0f : above;
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const double m = step.kind == Step::Tiny ? tiny_mantissa(x[i], step) : 0.0;
    dx[i] = m < format.lowest() || m > format.highest() ? 0.0f : dy[i];
  }
}

}  // namespace

Tensor quantize_activations(const Tensor& x, const ActivationFormat& format) {
  Tensor y = output_like(x, format);
  const float* from = x.data<float>();
  float* to = y.data<float>();
  for_each_block(x, format, [&](int64_t r, int64_t c, int64_t n) {
    const int64_t at = r * x.pitch() + c;
    if (n == kBlock) {
      quantize_block(from + at, to + at, kBlock, format);
    } else {
      quantize_block(from + at, to + at, n, format);
    }
  });
  return y;
}

Tensor quantize_activations_backward(const Tensor& dy, const Tensor& x, const ActivationFormat& format) {
  KB_CHECK(dy.shape() == x.shape() && dy.pitch() == x.pitch());
  Tensor dx = output_like(x, format);
  const float *g = dy.data<float>(), *from = x.data<float>();
  float* to = dx.data<float>();
  for_each_block(x, format, [&](int64_t r, int64_t c, int64_t n) {
    const int64_t at = r * x.pitch() + c;
    if (n == kBlock) {
      backward_block(g + at, from + at, to + at, kBlock, format);
    } else {
      backward_block(g + at, from + at, to + at, n, format);
    }
  });
  return dx;
}

QuantizedActivations activation_mantissas(const Tensor& x, const ActivationFormat& format) {
  check_block(format.block);
  QuantizedActivations q;
  q.channels = x.cols();
  q.blocks = (q.channels + format.block - 1) / format.block;
  q.mantissas.resize(static_cast<size_t>(x.rows() * q.channels));
  q.exponents.resize(static_cast<size_t>(x.rows() * q.blocks));
  const Tensor y = quantize_activations(x, format);
  for (int64_t r = 0; r < x.rows(); ++r) {
    for (int64_t k = 0; k < q.blocks; ++k) {
      const int64_t first = k * format.block, n = std::min(format.block, q.channels - first);
      const Step step = step_of(x.row<float>(r) + first, n, format);
      q.exponents[static_cast<size_t>(r * q.blocks + k)] = static_cast<int16_t>(step.exponent);
      for (int64_t i = first; i < first + n; ++i) {
        const double m = std::ldexp(static_cast<double>(y.row<float>(r)[i]), -step.exponent);
        if (!std::isfinite(m))
          throw NumericalError(fmt::format("[quantizer] activation {} of channel {}: {}", r, i, m));
        q.mantissas[static_cast<size_t>(r * q.channels + i)] = static_cast<int16_t>(m);
      }
    }
  }
  return q;
}

}  // namespace kronbit::quant
