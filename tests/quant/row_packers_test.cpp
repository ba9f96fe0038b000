// The row packers: the reference against activation_mantissas(), every other variant against the reference, byte for
// byte, with guards around everything that is written.
#include "quant/kernels/rows.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tensor/cpu.h"
#include "tensor/rng.h"

namespace kronbit::quant {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// One block of a kind: smooth, ties at half and saturation (multiples of 1/64 of a power of two), a huge range, zero,
/// tiny and subnormal, up to the largest floats, one number that is not finite.
void fill_block(float* x, Rng& rng, bool finite) {
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

std::string text_of(RowForm form, const ActivationFormat& format, int64_t rows, int64_t blocks) {
  const char* names[] = {"bytes", "planes", "bf16"};
  return fmt::format("{}, {} bits {}, {} rows of {} blocks", names[static_cast<int>(form)], format.bits,
                     format.is_signed ? "signed" : "unsigned", rows, blocks);
}

constexpr RowForm kForms[] = {RowForm::Bytes, RowForm::Planes, RowForm::Bf16};

TEST(RowPackers, TheReferenceIsLastAndTheBestIsSupported) {
  ASSERT_EQ(row_packers().back().name, "reference");
  EXPECT_TRUE(row_packers().back().supported());
  EXPECT_TRUE(best_row_packer().supported());
  limit_isa("baseline");
  EXPECT_EQ(best_row_packer().name, "reference");
  limit_isa("auto");
}

TEST(RowPackers, TheReferenceAgreesWithActivationMantissas) {
  Rng rng(81, Purpose::Test);
  for (RowForm form : kForms) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (bool is_signed : {true, false}) {
        const int64_t rows = 24, blocks = 3, channels = 32 * blocks - 5;
        Tensor x = Tensor::activation(rows, 1, 1, channels);
        ASSERT_EQ(x.pitch(), 32 * blocks);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t k = 0; k < blocks; ++k) fill_block(x.row<float>(r) + 32 * k, rng, true);
          std::fill(x.row<float>(r) + channels, x.row<float>(r) + x.pitch(), 0.0f);
        }
        const ActivationFormat format{bits, is_signed, 32};
        const QuantizedActivations want = activation_mantissas(x, format);
        Packed got(form, format, rows, blocks);
        kPackRowsReference.pack(x.row<float>(0), x.pitch(), rows, blocks, got.to, 0, 0);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t k = 0; k < blocks; ++k) {
            const int exponent = want.exponents[static_cast<size_t>(r * blocks + k)];
            int sum = 0;
            for (int64_t i = 0; i < 32; ++i) {
              const int64_t c = 32 * k + i;
              const int m = c < channels ? want.mantissas[static_cast<size_t>(r * channels + c)] : 0;
              sum += m;
              const int lane = static_cast<int>(i);
              const float value = std::ldexp(static_cast<float>(m), exponent);
              if (form == RowForm::Bf16) {
                // Exact, but below the smallest bf16.
                const float rounded = exponent >= -133 ? value : static_cast<float>(bf16(value));
                ASSERT_EQ(got.value(r, k, lane), rounded) << text_of(form, format, rows, blocks);
              } else {
                ASSERT_EQ(got.mantissa(r, k, lane), m) << text_of(form, format, rows, blocks);
              }
            }
            if (form == RowForm::Bf16) continue;
            const bool zero =
                std::all_of(x.row<float>(r) + 32 * k, x.row<float>(r) + 32 * k + 32, [](float v) { return v == 0.0f; });
            ASSERT_EQ(*got.step(r, k), zero ? 0.0f : std::ldexp(1.0f, exponent));
            ASSERT_EQ(got.sum(r, k), sum);
          }
        }
      }
    }
  }
}

TEST(RowPackers, BlocksThatAreNotFiniteShow) {
  std::vector<float> x(32 * 4, 1.0f);
  x[5] = kNaN;
  x[32 + 6] = -kInfinity;
  x[64 + 7] = 0x1p126f;
  for (const RowPacker& packer : row_packers()) {
    if (!packer.supported()) continue;
    for (RowForm form : kForms) {
      Packed got(form, {8, true, 32}, 1, 4);
      packer.pack(x.data(), 128, 1, 4, got.to, 0, 0);
      for (int64_t k = 0; k < 4; ++k) {
        for (int i = 0; i < 32; ++i) {
          if (form == RowForm::Bf16) {
            ASSERT_EQ(std::isnan(got.value(0, k, i)), k < 3) << packer.name;
          } else {
            ASSERT_EQ(got.mantissa(0, k, i), k < 3 ? 0 : 64) << packer.name;
          }
        }
        if (form == RowForm::Bf16) continue;
        ASSERT_EQ(std::isnan(*got.step(0, k)), k < 3) << packer.name;
        ASSERT_EQ(got.sum(0, k), k < 3 ? 0 : 32 * 64) << packer.name;
      }
    }
  }
}

class RowPackersTest : public testing::TestWithParam<size_t> {};

TEST_P(RowPackersTest, WritesWhatTheReferenceWrites) {
  const RowPacker& packer = row_packers()[GetParam()];
  if (!packer.supported()) GTEST_SKIP() << packer.name << " needs " << packer.needs;
  for (uint64_t seed = 0; seed < 1500; ++seed) {
    Rng rng(82, Purpose::Test, {seed});
    const RowForm form = kForms[rng.below(3)];
    const ActivationFormat format{1 + static_cast<int>(rng.below(8)), rng.below(2) != 0, 32};
    const auto whole = static_cast<int64_t>(1 + rng.below(5)), rows = static_cast<int64_t>(rng.below(21));
    const auto first_row = static_cast<int64_t>(rng.below(3));
    const auto first_block = static_cast<int64_t>(rng.below(static_cast<uint64_t>(whole)));
    const int64_t blocks = seed % 2 != 0
                               ? whole - first_block
                               : static_cast<int64_t>(rng.below(static_cast<uint64_t>(whole - first_block + 1)));
    const int64_t pitch = 32 * blocks + static_cast<int64_t>(rng.below(3) == 0 ? rng.below(40) : 0);
    std::vector<float> x(static_cast<size_t>(rows * pitch) + 1, kNaN);  // between the rows: must not matter
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < blocks; ++k) fill_block(x.data() + r * pitch + 32 * k, rng, seed % 4 < 2);
    if (!format.is_signed && seed % 8 < 6)
      for (float& v : x) v = std::fabs(v);
    Packed want(form, format, first_row + rows + 1, whole), got(form, format, first_row + rows + 1, whole);
    kPackRowsReference.pack(x.data(), pitch, rows, blocks, want.to, first_row, first_block);
    packer.pack(x.data(), pitch, rows, blocks, got.to, first_row, first_block);
    got.expect_same(want,
                    fmt::format("{}: seed {}, {}, blocks {}..{} from row {}", packer.name, seed,
                                text_of(form, format, rows, whole), first_block, first_block + blocks, first_row));
    if (HasFatalFailure()) return;
  }
}

/// Every tie and every saturation of every format, near a power of two and at it.
TEST_P(RowPackersTest, RoundsHalfToEvenEverywhere) {
  const RowPacker& packer = row_packers()[GetParam()];
  if (!packer.supported()) GTEST_SKIP() << packer.name << " needs " << packer.needs;
  for (RowForm form : kForms) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (bool is_signed : {true, false}) {
        for (float top : {1.0f, 1.5f, std::nextafter(2.0f, 0.0f)}) {
          // 31 multiples of half a step at a time, beside the largest number of a block.
          const float half = std::ldexp(1.0f, (is_signed ? 1 : 0) - bits);
          std::vector<float> x;
          for (int i = -1024; i < 1024; ++i) {
            if (x.size() % 32 == 0) x.push_back(top);
            x.push_back(std::clamp(static_cast<float>(i) * half, -top, top));
          }
          x.resize((x.size() + 31) / 32 * 32);
          const ActivationFormat format{bits, is_signed, 32};
          const auto blocks = static_cast<int64_t>(x.size() / 32);
          Packed want(form, format, 1, blocks), got(form, format, 1, blocks);
          kPackRowsReference.pack(x.data(), 32 * blocks, 1, blocks, want.to, 0, 0);
          packer.pack(x.data(), 32 * blocks, 1, blocks, got.to, 0, 0);
          got.expect_same(want, fmt::format("{}: top {}, {}", packer.name, top, text_of(form, format, 1, blocks)));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RowPackersTest, testing::Range(size_t{0}, row_packers().size() - 1),
                         [](const auto& test) { return std::string(row_packers()[test.param].name); });

}  // namespace
}  // namespace kronbit::quant
