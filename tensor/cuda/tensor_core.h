// The instructions around tensor cores: small matrix products whose operands are spread over the lanes of a warp, loads
// that spread them so, and copies from global to shared memory that run beside the arithmetic. On the host each is an
// exchange between the 32 lanes that follows the layouts drawn here (PTX ISA, "Matrix Fragments for mma"), so a kernel
// that holds a number in the wrong lane computes wrong numbers there too.
//
// Lane l = 4 g + t (g = 0..7, t = 0..3). d += a b; every register of a and b is 32 bits.
//
//   m16n8k16, bf16                                m16n8k32, bytes
//     a[0] row g,     columns 2t, 2t+1              a[0] row g,     columns 4t .. 4t+3
//     a[1] row g + 8, columns 2t, 2t+1              a[1] row g + 8, columns 4t .. 4t+3
//     a[2] row g,     columns 2t+8, 2t+9            a[2] row g,     columns 4t+16 .. 4t+19
//     a[3] row g + 8, columns 2t+8, 2t+9            a[3] row g + 8, columns 4t+16 .. 4t+19
//     b[0] rows 2t, 2t+1, column g                  b[0] rows 4t .. 4t+3, column g
//     b[1] rows 2t+8, 2t+9, column g                b[1] rows 4t+16 .. 4t+19, column g
//   both: d[0], d[1] row g, columns 2t, 2t+1;  d[2], d[3] row g + 8
//
// All lanes of a warp have to be there.
#pragma once

#include "tensor/cuda/simt.h"

namespace kronbit::KB_SIDE {

#if defined(__CUDACC__)

__device__ __forceinline__ void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/// a signed, b signed.
__device__ __forceinline__ void mma_s8(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/// a unsigned, b signed.
__device__ __forceinline__ void mma_u8s8(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Four 8x8 matrices of 16-bit numbers: lane 8 i + r gives the address of row r of matrix i in shared memory (aligned
/// to 16 bytes); r[i] of lane 4 g + t is words 2t, 2t+1 of row g of matrix i.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  const auto at = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at)
               : "memory");
}
/// The same of the transposed matrices: r[i] of lane 4 g + t is column g, rows 2t, 2t+1.
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  const auto at = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(at)
               : "memory");
}

/// Starts a copy of 16 bytes from global to shared memory (both aligned to 16); zeros where `valid` is false.
__device__ __forceinline__ void cp_async16(void* shared, const void* global, bool valid) {
  const auto at = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(global), "r"(bytes) : "memory");
}
/// The same of 4 bytes.
__device__ __forceinline__ void cp_async4(void* shared, const void* global, bool valid) {
  const auto at = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const int bytes = valid ? 4 : 0;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(at), "l"(global), "r"(bytes) : "memory");
}
/// Ends a group of copies.
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until all groups of this thread but the kPending latest are done.
template <int kPending>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

#else

/// The product of fragments in lanes: Number(word, i) is number i of a 32-bit register, kPer of them.
template <int kPer, class Sum, class A, class B>
void mma_of_lanes(Sum (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], A number_a, B number_b) {
  uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const std::byte* all = simt::warp_exchange(0xffffffffu, mine, sizeof(mine));
  const auto word = [&](unsigned lane, unsigned i) {
    uint32_t value;
    std::memcpy(&value, all + simt::kExchangeBytes * lane + 4 * i, 4);
    return value;
  };
  const unsigned g = simt::lane_index() / 4, t = simt::lane_index() % 4;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = g + 8 * (i / 2), column = 2 * t + i % 2;
    for (unsigned half = 0; half < 2; ++half) {  // k = 0 .. 4 kPer - 1, then the rest
      for (unsigned k = 0; k < 4 * kPer; ++k) {
        const uint32_t left = word(4 * (row % 8) + k / kPer, 2 * half + row / 8);
        const uint32_t right = word(4 * column + k / kPer, 4 + half);
        d[i] += static_cast<Sum>(number_a(left, k % kPer)) * static_cast<Sum>(number_b(right, k % kPer));
      }
    }
  }
}
inline float bf16_of(uint32_t word, unsigned i) { return std::bit_cast<float>(word >> (16 * i) << 16); }
inline int s8_of(uint32_t word, unsigned i) { return static_cast<int8_t>(word >> (8 * i) & 0xffu); }
inline int u8_of(uint32_t word, unsigned i) { return static_cast<int>(word >> (8 * i) & 0xffu); }

inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma_of_lanes<2>(d, a, b, bf16_of, bf16_of);
}
inline void mma_s8(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma_of_lanes<4>(d, a, b, s8_of, s8_of);
}
inline void mma_u8s8(int (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  mma_of_lanes<4>(d, a, b, u8_of, s8_of);
}

/// The address of a row of shared memory, from the lane that has it.
inline const std::byte* row_of_lane(const std::byte* all, unsigned lane) {
  const std::byte* row;
  std::memcpy(&row, all + simt::kExchangeBytes * lane, sizeof(row));
  return row;
}
inline void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  const std::byte* all = simt::warp_exchange(0xffffffffu, &row, sizeof(row));
  for (unsigned i = 0; i < 4; ++i)
    std::memcpy(&r[i], row_of_lane(all, 8 * i + simt::lane_index() / 4) + 4 * (simt::lane_index() % 4), 4);
  __syncwarp();  // nobody overwrites a row that others still read
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  const std::byte* all = simt::warp_exchange(0xffffffffu, &row, sizeof(row));
  for (unsigned i = 0; i < 4; ++i) {
    uint16_t numbers[2];
    for (unsigned j = 0; j < 2; ++j)
      std::memcpy(&numbers[j],
                  row_of_lane(all, 8 * i + 2 * (simt::lane_index() % 4) + j) + 2 * (simt::lane_index() / 4), 2);
    r[i] = numbers[0] | static_cast<uint32_t>(numbers[1]) << 16;
  }
  __syncwarp();
}

inline void cp_async16(void* shared, const void* global, bool valid) {
  simt::async_copy(shared, global, 16, valid ? 16 : 0);
}
inline void cp_async4(void* shared, const void* global, bool valid) {
  simt::async_copy(shared, global, 4, valid ? 4 : 0);
}
inline void cp_async_commit() { simt::async_commit(); }
template <int kPending>
void cp_async_wait() {
  simt::async_wait(kPending);
}

#endif

}  // namespace kronbit::KB_SIDE
