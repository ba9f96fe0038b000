// bf16 in kernels: two numbers in a 32-bit word, the first one in its lower half; eight in a load of 16 bytes.
// Arithmetic is in float. Conversion to bf16 rounds to nearest even; what NaN becomes is a NaN.
#pragma once

#include "tensor/cuda/simt.h"

namespace kronbit::KB_SIDE {

__device__ __forceinline__ float bf16_low(uint32_t word) { return __uint_as_float(word << 16); }
__device__ __forceinline__ float bf16_high(uint32_t word) { return __uint_as_float(word & 0xffff0000u); }

__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
#if defined(__CUDACC__)
  uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
#else
  const auto bits = [](float v) {
    const uint32_t u = __float_as_uint(v);
    return v != v ? 0x7fffu : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  };
  return bits(low) | bits(high) << 16;
#endif
}
__device__ __forceinline__ float bf16_value(uint16_t bits) {
  return __uint_as_float(static_cast<uint32_t>(bits) << 16);
}
__device__ __forceinline__ uint16_t to_bf16(float v) { return static_cast<uint16_t>(pack_bf16(v, 0.0f) & 0xffffu); }

/// Eight numbers, aligned to 16 bytes in memory.
struct Eight {
  float v[8];
};
__device__ __forceinline__ Eight load_eight(const uint16_t* from) {
  const uint4 w = *reinterpret_cast<const uint4*>(from);
  return {{bf16_low(w.x), bf16_high(w.x), bf16_low(w.y), bf16_high(w.y), bf16_low(w.z), bf16_high(w.z), bf16_low(w.w),
           bf16_high(w.w)}};
}
__device__ __forceinline__ void store_eight(uint16_t* to, const Eight& e) {
  *reinterpret_cast<uint4*>(to) = make_uint4(pack_bf16(e.v[0], e.v[1]), pack_bf16(e.v[2], e.v[3]),
                                             pack_bf16(e.v[4], e.v[5]), pack_bf16(e.v[6], e.v[7]));
}

}  // namespace kronbit::KB_SIDE
