// Kernels of the activation quantizer: one plain reference and one generic source compiled per instruction set.
// Private to quant/; the definition of the numbers is in quant/quantizer.h.
#pragma once

#include <span>
#include <string_view>

#include "quant/quantizer.h"

namespace kronbit::quant {

/// Numbers without gaps, cut into blocks of `block`, the last one shorter; each block gets its own step.
/// Requires: count and block multiples of 16, except for the reference. In place allowed (y = x, dx = dy). One thread.
/// Exactness: all variants bit-identical, NaN excepted, whose bits may differ
template <class T>
using QuantizeBlocks = void (*)(const T* x, T* y, int64_t count, int64_t block, const ActivationFormat& format);
template <class T>
using MaskBlocks = void (*)(const T* dy, const T* x, T* dx, int64_t count, int64_t block,
                            const ActivationFormat& format);

struct ActivationKernels {
  std::string_view name;   ///< "avx512"
  std::string_view needs;  ///< CPU features, for people
  bool (*supported)();
  QuantizeBlocks<float> quantize_f32;
  QuantizeBlocks<bf16> quantize_bf16;
  MaskBlocks<float> mask_f32;
  MaskBlocks<bf16> mask_bf16;
};
std::span<const ActivationKernels> activation_kernels();  ///< best first, the reference last
const ActivationKernels& best_activation_kernels();       ///< the first supported one

extern const ActivationKernels kActivationsAvx512, kActivationsAvx2, kActivationsBaseline, kActivationsReference;

/// The step of one block, as its exponent, and what the block is.
struct ActivationStep {
  enum Kind { Zero, Normal, Tiny, Infinite } kind;
  int exponent;
};
/// Bits of the largest magnitude of a Normal block: kNormalBegin <= bits < kNormalEnd.
inline constexpr uint32_t kNormalBegin = (127 - 110) << 23;  ///< 2^-110: below, a reciprocal of the step may overflow
inline constexpr uint32_t kNormalEnd = (127 + 126) << 23;    ///< 2^126: from there on, M counts as infinite
template <class T>
ActivationStep activation_step(const T* x, int64_t n, const ActivationFormat& format);

/// One block, as the formula is written. Any n.
template <class T>
void quantize_block_reference(const T* x, T* y, int64_t n, const ActivationFormat& format);
template <class T>
void mask_block_reference(const T* dy, const T* x, T* dx, int64_t n, const ActivationFormat& format);

}  // namespace kronbit::quant
