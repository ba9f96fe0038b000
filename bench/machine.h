// The yardstick of the benchmarks: what this processor is, and how many multiply-adds a core of it does when nothing
// else limits it. Rates are per second of processor time, so that other programs on the machine disturb them little.
#pragma once

#include <benchmark/benchmark.h>
#include <immintrin.h>
#include <time.h>

#include <algorithm>
#include <string>

#include "tensor/brgemm/brgemm.h"
#include "tensor/cpu.h"
#include "tensor/parallel.h"

namespace kronbit {
namespace {

inline double seconds_of(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
/// Processor time of this thread, and of all threads together.
inline double thread_seconds() { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }
inline double process_seconds() { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

// 12 independent chains cover the latency of two FMA units. Each step is 12 multiply-adds of one vector.
__attribute__((target("avx512f"))) inline void fma_avx512(int64_t steps) {
  __m512 sum[12];
  for (__m512& v : sum) v = _mm512_set1_ps(1.0f);
  const __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.25f);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (__m512& v : sum) v = _mm512_fmadd_ps(v, a, b);
  }
  for (__m512& v : sum) benchmark::DoNotOptimize(v);
}
__attribute__((target("avx2,fma"))) inline void fma_avx2(int64_t steps) {
  __m256 sum[12];
  for (__m256& v : sum) v = _mm256_set1_ps(1.0f);
  const __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.25f);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (__m256& v : sum) v = _mm256_fmadd_ps(v, a, b);
  }
  for (__m256& v : sum) benchmark::DoNotOptimize(v);
}

// The bf16 products of a core, in the same two ways: pairs of a vector, and tiles of 16 x 16 sums over 32 numbers.
__attribute__((target("avx512f,avx512bf16"))) inline void dot_bf16(int64_t steps) {
  __m512 sum[12];
  for (__m512& v : sum) v = _mm512_setzero_ps();
  const auto a = (__m512bh)_mm512_set1_epi16(0x3f80), b = (__m512bh)_mm512_set1_epi16(0x3e80);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (__m512& v : sum) v = _mm512_dpbf16_ps(v, a, b);
  }
  for (__m512& v : sum) benchmark::DoNotOptimize(v);
}
__attribute__((target("amx-tile,amx-bf16"))) inline void tiles_bf16(int64_t steps) {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } const config;
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int64_t i = 0; i < steps; ++i) {  // four sums, from two tiles on either side, as a product does it
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}

/// The best rate, in operations per second of one core, of 10 runs of `run(steps)`.
inline double best_rate(void (*run)(int64_t), int64_t steps, double operations_per_step) {
  double best = 0;
  for (int i = 0; i < 10; ++i) {
    const double start = thread_seconds();
    run(steps);
    best = std::max(best, operations_per_step * static_cast<double>(steps) / (thread_seconds() - start));
  }
  return best;
}

/// FP32 operations per second of one core (a multiply-add is two), from registers alone; 0 without FMA.
inline double fma_peak() {
  if (!cpu().fma) return 0;
  return cpu().avx512f ? best_rate(fma_avx512, 500'000, 2 * 12 * 16) : best_rate(fma_avx2, 500'000, 2 * 12 * 8);
}
/// The same of bf16 numbers summed in FP32; 0 where the processor has no instruction for them.
inline double bf16_peak() {
  if (cpu().amx_bf16) return best_rate(tiles_bf16, 20'000, 4 * 2 * 16 * 16 * 32);
  return cpu().avx512_bf16 ? best_rate(dot_bf16, 500'000, 2 * 12 * 32) : 0;
}

/// Cycles per second while computing: the best of 5 runs of about 1 ms of dependent multiplications, 3 cycles each on
/// every x86-64 of the last fifteen years (additions of a constant some processors do not execute at all).
inline double clock_rate() {
  constexpr int64_t kSteps = 1'000'000;
  double best = 0;
  for (int run = 0; run < 5; ++run) {
    const double start = thread_seconds();
    int64_t product = 3;
    for (int64_t i = 0; i < kSteps; ++i) __asm__ volatile("imul %0, %0" : "+r"(product));
    best = std::max(best, 3.0 * static_cast<double>(kSteps) / (thread_seconds() - start));
  }
  return best;
}

/// Says what runs where, in the head of the report.
inline void describe_machine() {
  benchmark::AddCustomContext("processor", cpu().model);
  benchmark::AddCustomContext("threads", std::to_string(threads()));
  benchmark::AddCustomContext("brgemm", std::string(brgemm_variant().name));
  benchmark::AddCustomContext("openblas", openblas_core());
  benchmark::AddCustomContext("FMA peak of a core, GFLOP/s", std::to_string(fma_peak() * 1e-9));
  benchmark::AddCustomContext("bf16 peak of a core, GFLOP/s", std::to_string(bf16_peak() * 1e-9));
  benchmark::AddCustomContext("clock, GHz", std::to_string(clock_rate() * 1e-9));
}

/// Counters "FLOP/s" (per second of processor time), "of_peak" (0..1 of one core's peak for numbers of `type`) and
/// "MAC/cycle" of one core. Google Benchmark writes "/s" behind each, because all are found by dividing by the time.
inline void count_flops(benchmark::State& state, double flops_per_iteration, DType type = DType::F32) {
  static const double fma = fma_peak(), bf16 = bf16_peak(), clock = clock_rate();
  const double peak = type == DType::BF16 && bf16 > 0 ? bf16 : fma;
  const double flops = flops_per_iteration * static_cast<double>(state.iterations());
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsRate);
  state.counters["MAC/cycle"] = benchmark::Counter(flops / 2 / clock, benchmark::Counter::kIsRate);
  if (peak > 0) state.counters["of_peak"] = benchmark::Counter(flops / peak, benchmark::Counter::kIsRate);
}

}  // namespace
}  // namespace kronbit
