// The CUDA that our kernels are written in. A kernel file (*.cu) is compiled twice: by nvcc for the GPU, and by the
// host compiler, where this header stands in for CUDA: the same words, on the fibres of fibres.h. What a file defines
// for others goes into namespace KB_SIDE, which is `cuda` or `simulated`; a table of functions leads from one to the
// other (device.h). docs/cuda.md shows how to step through a kernel in a debugger.
//
// Four things are spelled otherwise than in CUDA, because the host compiler cannot be taught them:
//   KB_UNROLL                          for  #pragma unroll
//   launch(at, kernel)(arguments)      for  kernel<<<grid, block, shared, stream>>>(arguments)
//   KB_DYNAMIC_SHARED(T, name)         for  extern __shared__ T name[]
//   mma_..., ldmatrix, cp_async        for  the instructions of tensor cores and copies (tensor_core.h)
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace kronbit {

/// A launch: on the GPU, `stream` is a cudaStream_t. On the host, `backward` takes the threads in the other order.
struct Launch {
  unsigned blocks_x = 1, blocks_y = 1;
  unsigned threads = 1;  ///< of a block, one-dimensional
  size_t shared_bytes = 0;
  void* stream = nullptr;
  bool backward = false;
};

}  // namespace kronbit

#if defined(__CUDACC__)

#include <cuda_runtime.h>

#define KB_SIDE cuda
#define KB_UNROLL _Pragma("unroll")
#define KB_DYNAMIC_SHARED(T, name)                              \
  extern __shared__ __align__(128) unsigned char kb_dynamic_[]; \
  T* name = reinterpret_cast<T*>(kb_dynamic_)

namespace kronbit::cuda {

/// Throws: Error "[cuda] what: the driver's words".
void check(cudaError_t code, const char* what);

/// launch(at, kernel)(arguments): see the head of this file. Dynamic shared memory is asked for always: the 48 KB that
/// need no asking are of static and dynamic together.
template <class... Parameters>
auto launch(const Launch& at, void (*kernel)(Parameters...)) {
  return [at, kernel](auto&&... arguments) {
    if (at.shared_bytes > 0)
      check(
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(at.shared_bytes)),
          "shared memory of a kernel");
    kernel<<<dim3(at.blocks_x, at.blocks_y), dim3(at.threads), at.shared_bytes, static_cast<cudaStream_t>(at.stream)>>>(
        static_cast<Parameters>(arguments)...);
    check(cudaGetLastError(), "launch of a kernel");
  };
}

/// a, b unsigned or signed bytes; CUDA has names for two of the four products only.
__device__ __forceinline__ int dp4a_us(unsigned a, int b, int c) {
  int d;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}
__device__ __forceinline__ int dp4a_ss(int a, int b, int c) { return __dp4a(a, b, c); }

}  // namespace kronbit::cuda

#else

#include <bit>
#include <cmath>
#include <cstring>

#include "tensor/cuda/fibres.h"

#define KB_SIDE simulated
#define KB_UNROLL
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static thread_local
#define __align__(n) __attribute__((aligned(n)))
#define KB_DYNAMIC_SHARED(T, name) T* name = reinterpret_cast<T*>(::kronbit::simt::dynamic_shared())

namespace kronbit::simulated {

using simt::blockDim;
using simt::blockIdx;
using simt::gridDim;
using simt::threadIdx;

template <class... Parameters>
auto launch(const Launch& at, void (*kernel)(Parameters...)) {
  return [at, kernel](auto... arguments) {
    simt::run_grid(
        {{at.blocks_x, at.blocks_y}, {at.threads}, at.shared_bytes},
        [&] { kernel(static_cast<Parameters>(arguments)...); },
        at.backward ? simt::Order::Backward : simt::Order::Forward);
  };
}

// Vector types and their makers, as far as kernels use them.
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// Waiting and exchanging.
inline void __syncthreads() { simt::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  const char nothing = 0;
  simt::warp_exchange(mask, &nothing, 1);
}
template <class T>
T from_lane(unsigned mask, const T& mine, int lane) {
  T value;
  std::memcpy(&value, simt::warp_exchange(mask, &mine, sizeof(T)) + simt::kExchangeBytes * static_cast<size_t>(lane),
              sizeof(T));
  return value;
}
template <class T>
T __shfl_sync(unsigned mask, T v, int lane, int width = 32) {
  const int me = static_cast<int>(simt::lane_index());
  return from_lane(mask, v, me / width * width + lane % width);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int other) {
  return from_lane(mask, v, static_cast<int>(simt::lane_index()) ^ other);
}
/// combine over what the lanes of a mask bring.
template <class T, class Combine>
T over_lanes(unsigned mask, T mine, T start, Combine combine) {
  const std::byte* all = simt::warp_exchange(mask, &mine, sizeof(T));
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    T value;
    std::memcpy(&value, all + simt::kExchangeBytes * lane, sizeof(T));
    start = combine(start, value, lane);
  }
  return start;
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return over_lanes<unsigned>(mask, predicate != 0, 0,
                              [](unsigned bits, unsigned v, unsigned lane) { return bits | v << lane; });
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline unsigned __reduce_max_sync(unsigned mask, unsigned v) {
  return over_lanes<unsigned>(mask, v, 0, [](unsigned a, unsigned b, unsigned) { return a > b ? a : b; });
}
inline int __reduce_add_sync(unsigned mask, int v) {
  return over_lanes<int>(mask, v, 0, [](int a, int b, unsigned) { return a + b; });
}

// Arithmetic that CUDA names; each is one rounding.
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __int2float_rn(int v) { return static_cast<float>(v); }
inline int __float2int_rn(float v) { return static_cast<int>(std::nearbyint(v)); }
inline unsigned __float_as_uint(float v) { return std::bit_cast<unsigned>(v); }
inline float __uint_as_float(unsigned v) { return std::bit_cast<float>(v); }
inline float __int_as_float(int v) { return std::bit_cast<float>(v); }
template <class T>
T __ldg(const T* at) {
  return *at;
}
using std::isfinite;
inline float fmaxf(float a, float b) { return std::fmax(a, b); }
inline float fminf(float a, float b) { return std::fmin(a, b); }
inline float fabsf(float v) { return std::fabs(v); }
inline float rintf(float v) { return std::nearbyint(v); }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline int dp4a_us(unsigned a, int b, int c) {
  for (int i = 0; i < 4; ++i)
    c += static_cast<int>(a >> (8 * i) & 0xffu) * static_cast<int8_t>(static_cast<unsigned>(b) >> (8 * i) & 0xffu);
  return c;
}
inline int dp4a_ss(int a, int b, int c) {
  for (int i = 0; i < 4; ++i)
    c += static_cast<int8_t>(static_cast<unsigned>(a) >> (8 * i) & 0xffu) *
         static_cast<int8_t>(static_cast<unsigned>(b) >> (8 * i) & 0xffu);
  return c;
}
}  // namespace kronbit::simulated

#endif
