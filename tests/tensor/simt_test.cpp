// The simulated GPU: barriers, exchanges within a warp, shared memory, tensor cores and late copies behave as CUDA
// says, and a kernel that waits for ever is found out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "tensor/cuda/device.h"
#include "tensor/cuda/simt.h"
#include "tensor/cuda/tensor_core.h"
#include "tensor/rng.h"
#include "tensor/tensor.h"
#include "tests/tensor/message_of.h"

namespace kronbit {
namespace {

using namespace simulated;  // NOLINT: a kernel file is inside it
using ::testing::HasSubstr;

__global__ void reverse_kernel(const int* x, int* y, int n) {
  __shared__ int tile[256];
  const int first = static_cast<int>(blockIdx.x * blockDim.x), i = static_cast<int>(threadIdx.x);
  const int count = min(static_cast<int>(blockDim.x), n - first);
  if (i < count) tile[i] = x[first + i];
  __syncthreads();
  if (i < count) y[first + i] = tile[count - 1 - i];
}

TEST(Simt, ABlockSharesMemoryAcrossABarrier) {
  for (const int n : {1, 2, 31, 64, 100, 256, 300, 777}) {
    for (const unsigned threads : {1u, 32u, 96u, 256u}) {
      for (const bool backward : {false, true}) {
        std::vector<int> x(static_cast<size_t>(n)), y(x.size(), -1), want = x;
        std::iota(x.begin(), x.end(), 0);
        const unsigned blocks = (static_cast<unsigned>(n) + threads - 1) / threads;
        launch({.blocks_x = blocks, .threads = threads, .backward = backward}, reverse_kernel)(x.data(), y.data(), n);
        want = x;
        for (size_t i = 0; i < want.size(); i += threads)
          std::reverse(want.begin() + static_cast<std::ptrdiff_t>(i),
                       want.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(i + threads, want.size())));
        EXPECT_EQ(y, want) << n << " numbers, " << threads << " threads";
      }
    }
  }
}

__global__ void racing_kernel(int* y) {
  __shared__ int last;
  last = static_cast<int>(threadIdx.x);
  __syncthreads();
  y[threadIdx.x] = last;
}

TEST(Simt, ARaceShowsWhenTheThreadsGoTheOtherWay) {
  std::vector<int> forward(64), backward(64);
  launch({.threads = 64}, racing_kernel)(forward.data());
  launch({.threads = 64, .backward = true}, racing_kernel)(backward.data());
  EXPECT_EQ(forward[5], 63);
  EXPECT_EQ(backward[5], 0);
}

__global__ void exchange_kernel(unsigned* out) {
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  unsigned* mine = out + threadIdx.x * 6;
  mine[0] = __shfl_sync(0xffffffffu, lane * 10 + warp, 7);
  mine[1] = __shfl_xor_sync(0xffffffffu, lane, 5);
  mine[2] = __ballot_sync(0xffffffffu, lane % 3 == 0);
  mine[3] = __reduce_max_sync(0xffffffffu, lane ^ 9u);
  mine[4] = static_cast<unsigned>(__reduce_add_sync(0xffffffffu, static_cast<int>(lane) - 20));
  // The halves of the warp part and exchange a different number of times.
  const unsigned half = lane < 16 ? 0xffffu : 0xffff0000u;
  unsigned sum = lane;
  for (int i = 0; i < (lane < 16 ? 4 : 2); ++i) sum += __shfl_xor_sync(half, sum, 1 << i);
  mine[5] = __shfl_sync(0xffffffffu, sum, lane < 16 ? 16 : 0);
}

TEST(Simt, LanesOfAWarpExchange) {
  for (const bool backward : {false, true}) {
    std::vector<unsigned> out(64 * 6);
    launch({.threads = 64, .backward = backward}, exchange_kernel)(out.data());
    for (unsigned i = 0; i < 64; ++i) {
      const unsigned lane = i % 32, *mine = &out[i * 6];
      EXPECT_EQ(mine[0], 70 + i / 32);
      EXPECT_EQ(mine[1], lane ^ 5u);
      EXPECT_EQ(mine[2], 0b01001001001001001001001001001001u);
      EXPECT_EQ(mine[3], 31u);
      EXPECT_EQ(static_cast<int>(mine[4]), 31 * 16 - 20 * 32);
      EXPECT_EQ(mine[5], lane < 16 ? 16u + 17 + 18 + 19 : 120u);
    }
  }
}

__global__ void barrier_for_some_kernel() {
  if (threadIdx.x != 3) __syncthreads();
  __syncthreads();
  if (threadIdx.x == 3) __syncthreads();
}
__global__ void barrier_after_return_kernel(int* y) {
  if (threadIdx.x >= 40) return;
  __syncthreads();
  y[threadIdx.x] = 1;
}
__global__ void shuffle_for_some_kernel(int* y) {
  if (threadIdx.x % 2 == 0) y[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
}
__global__ void throwing_kernel() {
  if (threadIdx.x == 17) throw InternalError("thread 17 has had enough");
  __syncthreads();
}

TEST(Simt, WaitingForEverIsFoundOut) {
  std::vector<int> y(64);
  // Barriers are counted, as on the GPU: thread 3 comes to as many.
  EXPECT_EQ(message_of<InternalError>([&] { launch({.threads = 64}, barrier_for_some_kernel)(); }),
            "nothing was thrown");
  launch({.threads = 64}, barrier_after_return_kernel)(y.data());
  EXPECT_EQ(std::accumulate(y.begin(), y.end(), 0), 40);
  EXPECT_THAT(
      message_of<InternalError>([&] { launch({.threads = 64}, shuffle_for_some_kernel)(y.data()); }),
      HasSubstr("block (0, 0, 0): its threads wait for each other: 0 at a barrier of the block, 32 at an exchange "
                "within a warp, 32 have ended; the first that waits is thread 0"));
  EXPECT_EQ(message_of<InternalError>([&] { launch({.threads = 32}, throwing_kernel)(); }), "thread 17 has had enough");
  EXPECT_THAT(message_of<InternalError>([&] { launch({.threads = 1025}, throwing_kernel)(); }), HasSubstr("1024"));
  // And the next grid runs as if nothing had been.
  launch({.threads = 64}, racing_kernel)(y.data());
  EXPECT_EQ(y[0], 63);
}

__global__ void async_kernel(const int* x, int* y, bool wait) {
  __shared__ __align__(16) int tile[3][4];
  for (int i = 0; i < 12; ++i) tile[i / 4][i % 4] = -1;
  cp_async16(tile[0], x, true);
  cp_async_commit();
  cp_async16(tile[1], x + 4, false);
  cp_async4(&tile[2][2], x + 5, true);
  cp_async_commit();
  if (wait) cp_async_wait<1>();
  y[0] = tile[0][1];
  y[1] = tile[1][1];
  cp_async_wait<0>();
  y[2] = tile[1][1];
  y[3] = tile[2][2];
}

TEST(Simt, CopiesComeLateUntilTheyAreWaitedFor) {
  alignas(16) const int x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  int y[4];
  launch({.threads = 1}, async_kernel)(x, y, true);
  EXPECT_THAT(y, ::testing::ElementsAre(2, -1, 0, 6));
  launch({.threads = 1}, async_kernel)(x, y, false);
  EXPECT_THAT(y, ::testing::ElementsAre(-1, -1, 0, 6));
}

/// One warp: y [16][8] += a [16][k] b [k][8], everything row by row in global memory; k is one instruction's.
template <class Number, class Sum, int kK, class Mma>
void product_of_one_warp(const Number* a, const Number* b, Sum* y, Mma mma) {
  constexpr int kPer = 4 / static_cast<int>(sizeof(Number));
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  uint32_t fa[4], fb[2];
  for (int i = 0; i < 4; ++i) std::memcpy(&fa[i], a + (g + 8 * (i % 2)) * kK + kPer * t + i / 2 * (kK / 2), 4);
  for (int i = 0; i < 2; ++i) {
    Number column[kPer];
    for (int j = 0; j < kPer; ++j) column[j] = b[(kPer * t + j + i * (kK / 2)) * 8 + g];
    std::memcpy(&fb[i], column, 4);
  }
  Sum d[4];
  for (int i = 0; i < 4; ++i) d[i] = y[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2];
  mma(d, fa, fb);
  for (int i = 0; i < 4; ++i) y[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = d[i];
}
__global__ void bf16_kernel(const bf16* a, const bf16* b, float* y) {
  product_of_one_warp<bf16, float, 16>(a, b, y, [](auto& d, auto& fa, auto& fb) { mma_bf16(d, fa, fb); });
}
__global__ void s8_kernel(const int8_t* a, const int8_t* b, int* y) {
  product_of_one_warp<int8_t, int, 32>(a, b, y, [](auto& d, auto& fa, auto& fb) { mma_s8(d, fa, fb); });
}
__global__ void u8_kernel(const int8_t* a, const int8_t* b, int* y) {
  product_of_one_warp<int8_t, int, 32>(a, b, y, [](auto& d, auto& fa, auto& fb) { mma_u8s8(d, fa, fb); });
}

template <class Number, class Sum, class Draw, class Value>
void check_products(int k, void (*kernel)(const Number*, const Number*, Sum*), Draw draw, Value value_a) {
  std::vector<Number> a, b;
  for (int i = 0; i < 16 * k; ++i) a.push_back(draw());
  for (int i = 0; i < k * 8; ++i) b.push_back(draw());
  std::vector<Sum> y(16 * 8, Sum{3}), want(16 * 8, Sum{3});
  for (int r = 0; r < 16; ++r)
    for (int c = 0; c < 8; ++c)
      for (int i = 0; i < k; ++i)
        want[static_cast<size_t>(r * 8 + c)] +=
            static_cast<Sum>(value_a(a[static_cast<size_t>(r * k + i)])) *
            static_cast<Sum>(static_cast<double>(b[static_cast<size_t>(i * 8 + c)]));
  launch({.threads = 32}, kernel)(a.data(), b.data(), y.data());
  EXPECT_EQ(y, want);
}

TEST(Simt, TensorCoresMultiplyFragments) {
  Rng rng(5, Purpose::Test);
  const auto small = [&] { return bf16(static_cast<float>(rng.below(17)) - 8); };  // sums are exact
  check_products<bf16, float>(16, bf16_kernel, small, [](bf16 v) { return static_cast<float>(v); });
  const auto byte = [&] { return static_cast<int8_t>(rng.below(256)); };
  check_products<int8_t, int>(32, s8_kernel, byte, [](int8_t v) { return static_cast<int>(v); });
  check_products<int8_t, int>(32, u8_kernel, byte, [](int8_t v) { return static_cast<int>(static_cast<uint8_t>(v)); });
}

__global__ void ldmatrix_kernel(const uint16_t* x, uint32_t* plain, uint32_t* transposed) {
  __shared__ __align__(16) uint16_t tile[32 * 8];
  for (int i = 0; i < 8; ++i)
    tile[threadIdx.x * 8 + static_cast<unsigned>(i)] = x[threadIdx.x * 8 + static_cast<unsigned>(i)];
  __syncwarp();
  uint32_t r[4];
  ldmatrix_x4(r, tile + threadIdx.x * 8);
  for (unsigned i = 0; i < 4; ++i) plain[threadIdx.x * 4 + i] = r[i];
  ldmatrix_x4_trans(r, tile + threadIdx.x * 8);
  for (unsigned i = 0; i < 4; ++i) transposed[threadIdx.x * 4 + i] = r[i];
}

TEST(Simt, LdmatrixSpreadsFourMatrices) {
  std::vector<uint16_t> x(32 * 8);
  std::iota(x.begin(), x.end(), uint16_t{0});
  std::vector<uint32_t> plain(128), transposed(128);
  launch({.threads = 32}, ldmatrix_kernel)(x.data(), plain.data(), transposed.data());
  for (unsigned lane = 0; lane < 32; ++lane) {
    const unsigned g = lane / 4, t = lane % 4;
    for (unsigned i = 0; i < 4; ++i) {
      const auto at = [&](unsigned row, unsigned column) { return uint32_t{x[(8 * i + row) * 8 + column]}; };
      EXPECT_EQ(plain[lane * 4 + i], at(g, 2 * t) | at(g, 2 * t + 1) << 16);
      EXPECT_EQ(transposed[lane * 4 + i], at(2 * t, g) | at(2 * t + 1, g) << 16);
    }
  }
}

__global__ void dynamic_kernel(float* y) {
  KB_DYNAMIC_SHARED(float, all);
  all[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncthreads();
  y[threadIdx.x] = all[blockDim.x - 1 - threadIdx.x];
}

TEST(Simt, DynamicSharedMemory) {
  const std::unique_ptr<Device> device = open_simulated_device();
  DeviceArray<float> y(*device, 100);
  launch({.threads = 100, .shared_bytes = 400, .stream = device->stream()}, dynamic_kernel)(y.data());
  device->synchronize();
  EXPECT_EQ(y.values()[0], 99);
  y.zero();
  EXPECT_EQ(y.values()[0], 0);
  EXPECT_THAT(
      message_of<InternalError>([&] { launch({.threads = 1, .shared_bytes = 100 << 10}, dynamic_kernel)(y.data()); }),
      HasSubstr("kMostSharedBytes"));
}

TEST(Simt, RecordedWorkIsBegunByReplays) {
  const std::unique_ptr<Device> device = open_simulated_device();
  DeviceArray<float> y(*device, 4);
  y.zero();
  const std::shared_ptr<void> recorded = device->record(
      [&] { launch({.threads = 4, .shared_bytes = 16, .stream = device->stream()}, dynamic_kernel)(y.data()); });
  EXPECT_EQ(y.values()[0], 0);
  device->replay(recorded);
  EXPECT_EQ(y.values()[0], 3);
}

TEST(Simt, DotProductsOfFourBytes) {
  Rng rng(6, Purpose::Test);
  for (int i = 0; i < 1000; ++i) {
    const auto a = static_cast<unsigned>(rng.below(1ull << 32)), b = static_cast<unsigned>(rng.below(1ull << 32));
    int us = 7, ss = 7;
    for (unsigned k = 0; k < 32; k += 8) {
      const int sa = static_cast<int8_t>(a >> k & 255u), sb = static_cast<int8_t>(b >> k & 255u);
      us += static_cast<int>(a >> k & 255u) * sb;
      ss += sa * sb;
    }
    EXPECT_EQ(dp4a_us(a, static_cast<int>(b), 7), us);
    EXPECT_EQ(dp4a_ss(static_cast<int>(a), static_cast<int>(b), 7), ss);
  }
}

TEST(Device, SaysWhyThereIsNone) {
  std::string why;
  const std::unique_ptr<Device> device = open_cuda_device(why);
  EXPECT_EQ(device == nullptr, !why.empty());
  if (device == nullptr) GTEST_SKIP() << "no GPU: " << why;
  DeviceArray<int> x(*device, std::vector<int>{1, 2, 3});
  EXPECT_EQ(x.values(), (std::vector<int>{1, 2, 3}));
  EXPECT_GE(device->properties().capability, 80);
}

}  // namespace
}  // namespace kronbit
