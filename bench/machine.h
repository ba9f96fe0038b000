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

inline double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

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

/// FP32 operations per second of one core (a multiply-add is two), from registers alone; 0 without FMA. The best of 10
/// runs of about 1 ms.
inline double fma_peak() {
  if (!cpu().fma) return 0;
  constexpr int64_t kSteps = 500'000;
  const double lanes = cpu().avx512f ? 16 : 8;
  double best = 0;
  for (int run = 0; run < 10; ++run) {
    const double start = cpu_seconds();
    (cpu().avx512f ? fma_avx512 : fma_avx2)(kSteps);
    best = std::max(best, 2 * 12 * lanes * kSteps / (cpu_seconds() - start));
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
}

/// Counters "FLOP/s" (per second of processor time) and "of_peak" (0..1 of one core's FMA peak).
inline void count_flops(benchmark::State& state, double flops_per_iteration) {
  static const double peak = fma_peak();
  const double flops = flops_per_iteration * static_cast<double>(state.iterations());
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsRate);
  if (peak > 0) state.counters["of_peak"] = benchmark::Counter(flops / peak, benchmark::Counter::kIsRate);
}

}  // namespace
}  // namespace kronbit
