// The row packers: the reference against activation_mantissas(), every other variant against the reference, byte for
// byte, with guards around everything that is written.
#include "quant/kernels/rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tensor/cpu.h"
#include "tests/quant/random_rows.h"

namespace kronbit::quant {
namespace {

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
          for (int64_t k = 0; k < blocks; ++k) fill_rows_block(x.row<float>(r) + 32 * k, rng, true);
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
      for (int64_t k = 0; k < blocks; ++k) fill_rows_block(x.data() + r * pitch + 32 * k, rng, seed % 4 < 2);
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
        const std::vector<float> x = every_tie(bits, is_signed);
        const ActivationFormat format{bits, is_signed, 32};
        const auto blocks = static_cast<int64_t>(x.size() / 32);
        Packed want(form, format, 1, blocks), got(form, format, 1, blocks);
        kPackRowsReference.pack(x.data(), 32 * blocks, 1, blocks, want.to, 0, 0);
        packer.pack(x.data(), 32 * blocks, 1, blocks, got.to, 0, 0);
        got.expect_same(want, fmt::format("{}: {}", packer.name, text_of(form, format, 1, blocks)));
        if (HasFatalFailure()) return;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RowPackersTest, testing::Range(size_t{0}, row_packers().size() - 1),
                         [](const auto& test) { return std::string(row_packers()[test.param].name); });

}  // namespace
}  // namespace kronbit::quant
