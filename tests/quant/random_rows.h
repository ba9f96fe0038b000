// What the tests of the row packers share: blocks of numbers of every kind, and packed rows with guards around them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "quant/kernels/rows.h"
#include "tensor/rng.h"

namespace kronbit::quant {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// One block of a kind: smooth, ties at half and saturation (multiples of 1/64 of a power of two), a huge range, zero,
/// tiny and subnormal, up to the largest floats, one number that is not finite.
inline void fill_rows_block(float* x, Rng& rng, bool finite) {
  const uint64_t kind = rng.below(finite ? 6 : 8);
  const int scale = static_cast<int>(rng.below(200)) - 100;
  for (int i = 0; i < 32; ++i) {
    const auto v = static_cast<float>(rng.normal());
    x[i] = v;
    if (kind == 1) x[i] = std::ldexp(static_cast<float>(static_cast<int>(rng.below(1025)) - 512), scale - 6);
    if (kind == 2) x[i] = static_cast<float>(v * std::exp(rng.uniform(-60, 60)));
    if (kind == 3) x[i] = rng.below(2) != 0 ? 0.0f : -0.0f;
    if (kind == 4) x[i] = v * (scale < 0 ? 1e-38f : 1e-43f);
    if (kind == 5) x[i] = v * (scale < 0 ? 0x1p-110f : 0x1p122f);  // around the ends of the fast path
    if (kind == 6) x[i] = v * 0x1p126f;
  }
  constexpr float kStrange[] = {kInfinity, -kInfinity, kNaN, -kNaN, 0x1p126f, std::numeric_limits<float>::max()};
  if (kind == 7) x[rng.below(32)] = kStrange[rng.below(std::size(kStrange))];
}

/// Blocks with every tie and every saturation of a format, near a power of two and at it.
inline std::vector<float> every_tie(int bits, bool is_signed) {
  std::vector<float> x;
  for (float top : {1.0f, 1.5f, std::nextafter(2.0f, 0.0f)}) {
    // 31 multiples of half a step at a time, beside the largest number of a block.
    const float half = std::ldexp(1.0f, (is_signed ? 1 : 0) - bits);
    for (int i = -1024; i < 1024; ++i) {
      if (x.size() % 32 == 0) x.push_back(top);
      x.push_back(std::clamp(static_cast<float>(i) * half, -top, top));
    }
    x.resize((x.size() + 31) / 32 * 32);
  }
  return x;
}

/// Rows of blocks and room for them packed, with guards in front and behind.
struct Packed {
  static constexpr size_t kGuard = 64;
  RowsOut to;
  std::vector<std::byte> mantissas;
  std::vector<float> steps;
  std::vector<int32_t> sums;
  int64_t rows;

  Packed(RowForm form, const ActivationFormat& format, int64_t row_count, int64_t blocks) : rows(row_count) {
    to = {.form = form, .format = format, .blocks = blocks};
    mantissas.assign(static_cast<size_t>(rows * to.view().row_bytes()) + 3 * kGuard, std::byte{0xa5});
    steps.assign(static_cast<size_t>(rows * blocks) + 2 * kGuard, 12345.0f);
    sums.assign(steps.size(), 12345);
    const auto at = reinterpret_cast<uintptr_t>(mantissas.data()) + kGuard;
    to.mantissas = mantissas.data() + kGuard + (64 - at % 64) % 64;
    if (form == RowForm::Bf16) return;  // has no steps and sums
    to.steps = steps.data() + kGuard;
    to.sums = sums.data() + kGuard;
  }
  const float* step(int64_t row, int64_t block) const { return to.steps + row * to.blocks + block; }
  int32_t sum(int64_t row, int64_t block) const { return to.sums[row * to.blocks + block]; }
  int mantissa(int64_t row, int64_t block, int lane) const {
    const int64_t index = row * to.blocks + block;
    if (to.form == RowForm::Bytes) {
      const auto byte = static_cast<uint8_t>(to.mantissas[32 * index + lane]);
      return to.format.is_signed ? static_cast<int8_t>(byte) : byte;
    }
    int value = 0;
    for (int p = 0; p < to.format.bits; ++p) {
      uint32_t word;
      std::memcpy(&word, to.mantissas + 4 * (index * to.format.bits + p), 4);
      const int weight = to.format.is_signed && p == to.format.bits - 1 ? -(1 << p) : 1 << p;
      value += static_cast<int>(word >> lane & 1) * weight;
    }
    return value;
  }
  float value(int64_t row, int64_t block, int lane) const {
    bf16 v;
    std::memcpy(&v, to.mantissas + 2 * (32 * (row * to.blocks + block) + lane), 2);
    return static_cast<float>(v);
  }
  /// Everything, guards included, from the aligned beginning.
  void expect_same(const Packed& other, const std::string& what) const {
    const auto bytes = static_cast<size_t>(rows * to.view().row_bytes()) + kGuard;
    ASSERT_EQ(std::memcmp(to.mantissas - kGuard, other.to.mantissas - kGuard, bytes + kGuard), 0) << what;
    ASSERT_EQ(std::memcmp(steps.data(), other.steps.data(), 4 * steps.size()), 0) << what;
    ASSERT_EQ(sums, other.sums) << what;
  }
};

inline std::string text_of(RowForm form, const ActivationFormat& format, int64_t rows, int64_t blocks) {
  const char* names[] = {"bytes", "planes", "bf16"};
  return fmt::format("{}, {} bits {}, {} rows of {} blocks", names[static_cast<int>(form)], format.bits,
                     format.is_signed ? "signed" : "unsigned", rows, blocks);
}

inline constexpr RowForm kForms[] = {RowForm::Bytes, RowForm::Planes, RowForm::Bf16};

}  // namespace kronbit::quant
