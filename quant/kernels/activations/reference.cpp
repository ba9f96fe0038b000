// The activation quantizer as its formula is written, one number at a time, in double.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "quant/kernels/activations/kernels.h"

namespace kronbit::quant {
namespace {

template <class T>
double mantissa(T x, const ActivationStep& step) {
  return std::nearbyint(std::ldexp(static_cast<double>(x), -step.exponent));
}

template <class T>
void quantize_blocks(const T* x, T* y, int64_t count, int64_t block, const ActivationFormat& format) {
  for (int64_t at = 0; at < count; at += block)
    quantize_block_reference(x + at, y + at, std::min(block, count - at), format);
}

template <class T>
void mask_blocks(const T* dy, const T* x, T* dx, int64_t count, int64_t block, const ActivationFormat& format) {
  for (int64_t at = 0; at < count; at += block)
    mask_block_reference(dy + at, x + at, dx + at, std::min(block, count - at), format);
}

bool always() { return true; }

}  // namespace

// Magnitudes compare as the integers their bits are, NaN excepted, which is left out of M and stays by itself.
template <class T>
ActivationStep activation_step(const T* x, int64_t n, const ActivationFormat& format) {
  constexpr uint32_t kInfinity = 0x7f800000;
  uint32_t top = 0;
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t magnitude = std::bit_cast<uint32_t>(static_cast<float>(x[i])) & 0x7fffffffu;
    if (magnitude <= kInfinity) top = std::max(top, magnitude);
  }
  if (top == 0) return {ActivationStep::Zero, 0};
  if (top >= kNormalEnd) return {ActivationStep::Infinite, 0};
  const int e = std::ilogb(std::bit_cast<float>(top)), offset = (format.is_signed ? 2 : 1) - format.bits;
  return {top < kNormalBegin ? ActivationStep::Tiny : ActivationStep::Normal, std::max(e + offset, -149)};
}

template <class T>
void quantize_block_reference(const T* x, T* y, int64_t n, const ActivationFormat& format) {
  const ActivationStep step = activation_step(x, n, format);
  for (int64_t i = 0; i < n; ++i) {
    float result = 0;
    if (step.kind == ActivationStep::Infinite || std::isnan(static_cast<float>(x[i]))) {
      result = std::numeric_limits<float>::quiet_NaN();
    } else if (step.kind != ActivationStep::Zero) {
      const double m = std::clamp<double>(mantissa(x[i], step), format.lowest(), format.highest());
      result = static_cast<float>(std::ldexp(m, step.exponent)) + 0.0f;  // no -0
    }
    y[i] = static_cast<T>(result);
  }
}

template <class T>
void mask_block_reference(const T* dy, const T* x, T* dx, int64_t n, const ActivationFormat& format) {
  const ActivationStep step = activation_step(x, n, format);
  const bool can_saturate = step.kind == ActivationStep::Normal || step.kind == ActivationStep::Tiny;
  for (int64_t i = 0; i < n; ++i) {
    const double m = can_saturate ? mantissa(x[i], step) : 0.0;
    dx[i] = m < format.lowest() || m > format.highest() ? T() : dy[i];
  }
}

template ActivationStep activation_step(const float*, int64_t, const ActivationFormat&);
template ActivationStep activation_step(const bf16*, int64_t, const ActivationFormat&);
template void quantize_block_reference(const float*, float*, int64_t, const ActivationFormat&);
template void quantize_block_reference(const bf16*, bf16*, int64_t, const ActivationFormat&);
template void mask_block_reference(const float*, const float*, float*, int64_t, const ActivationFormat&);
template void mask_block_reference(const bf16*, const bf16*, bf16*, int64_t, const ActivationFormat&);

const ActivationKernels kActivationsReference = {
    "reference", "", always, quantize_blocks<float>, quantize_blocks<bf16>, mask_blocks<float>, mask_blocks<bf16>};

}  // namespace kronbit::quant
