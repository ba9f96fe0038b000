// Every supported brgemm variant of bf16 against the equation in double, sizes around the tile sizes, operands that end
// at a page that may not be touched. The kernel for AMX also runs on emulated tiles, so on every machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>

#include "tensor/brgemm/amx_kernel.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/rng.h"
#include "tests/tensor/emulated_tiles.h"
#include "tests/tensor/guarded_array.h"

namespace kronbit {

/// For the names of tests.
void PrintTo(const BrgemmVariant& variant, std::ostream* out);
void PrintTo(const BrgemmVariant& variant, std::ostream* out) { *out << variant.name; }

namespace {

struct Case {
  int64_t m, n, k, terms;
  bool accumulate;
  int64_t slack;  // how much longer than needed the rows of all operands are
  std::string text() const {
    return fmt::format("m {} n {} k {} terms {} accumulate {} slack {}", m, n, k, terms, accumulate, slack);
  }
};

/// Numbers an operand of `rows` rows of `cols` spans when rows start `stride` apart.
int64_t span_of(int64_t rows, int64_t cols, int64_t stride) {
  return rows > 0 && cols > 0 ? (rows - 1) * stride + cols : 0;
}

/// Sum: float (accumulated or not) or bf16 (rounded).
template <class Sum>
void check_case(const BrgemmVariant& v, const Case& test, Rng& rng) {
  const BrgemmPairsShape s{.m = test.m,
                           .n = test.n,
                           .k = test.k,
                           .a_row = test.k + test.slack,
                           .b_pair = 2 * (test.n + test.slack),
                           .c_row = test.n + test.slack};
  std::vector<std::unique_ptr<GuardedArray<bf16>>> memory;
  const auto fresh = [&](int64_t size) {
    memory.push_back(std::make_unique<GuardedArray<bf16>>(size));
    for (int64_t i = 0; i < size; ++i) memory.back()->data()[i] = bf16(static_cast<float>(rng.uniform(-1, 1)));
    return memory.back()->data();
  };
  std::vector<BrgemmTerm<bf16>> terms(static_cast<size_t>(test.terms));
  for (auto& term : terms) term = {fresh(span_of(s.m, s.k, s.a_row)), fresh(span_of(s.k / 2, 2 * s.n, s.b_pair))};
  const int64_t c_size = span_of(s.m, s.n, s.c_row);
  GuardedArray<Sum> c_memory(c_size);
  Sum* c = c_memory.data();
  for (int64_t i = 0; i < c_size; ++i) c[i] = static_cast<Sum>(static_cast<float>(rng.uniform(-1, 1)));
  const std::vector<Sum> before(c, c + c_size);

  const bool accumulate = test.accumulate && sizeof(Sum) == 4;
  if constexpr (sizeof(Sum) == 4) {
    v.run_bf16(s, terms, c, accumulate);
  } else {
    v.run_bf16_rounded(s, terms, c);
  }

  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.c_row && i * s.c_row + j < c_size; ++j) {
      const auto at = static_cast<size_t>(i * s.c_row + j);
      if (j >= s.n) {  // between the rows: untouched
        ASSERT_EQ(double(c[at]), double(before[at])) << test.text() << " row " << i << " column " << j;
        continue;
      }
      double sum = accumulate ? double(before[at]) : 0, size = std::abs(sum);
      for (const auto& term : terms) {
        for (int64_t p = 0; p < s.k; ++p) {
          const double product = double(term.a[i * s.a_row + p]) * double(term.b[p / 2 * s.b_pair + 2 * j + p % 2]);
          sum += product;
          size += std::abs(product);
        }
      }
      const double rounding = sizeof(Sum) == 4 ? 0 : std::abs(sum) * 0x1p-8;
      ASSERT_NEAR(double(c[at]), sum, 2e-5 * size + rounding) << test.text() << " row " << i << " column " << j;
    }
  }
}

bool everywhere() { return true; }
void emulated_amx(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, float* c, bool accumulate) {
  brgemm_in_tiles<EmulatedTiles>(s, terms, c, accumulate);
}
void emulated_amx_rounded(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, bf16* c) {
  brgemm_in_tiles<EmulatedTiles>(s, terms, c, false);
}

std::vector<BrgemmVariant> all_variants() {
  std::vector<BrgemmVariant> all = {
      {"emulated_amx", "", everywhere, nullptr, nullptr, emulated_amx, emulated_amx_rounded}};
  for (const BrgemmVariant& v : brgemm_variants()) {
    if (v.serves(DType::BF16)) all.push_back(v);
  }
  return all;
}

class BrgemmPairs : public testing::TestWithParam<BrgemmVariant> {
 protected:
  void SetUp() override {
    const BrgemmVariant& v = GetParam();
    if (!v.supported()) GTEST_SKIP() << "variant " << v.name << " needs " << v.needs << ", which this machine lacks";
  }
  static void check_both(const Case& test, Rng& rng) {
    check_case<float>(GetParam(), test, rng);
    check_case<bf16>(GetParam(), test, rng);
  }
};

TEST_P(BrgemmPairs, AgreesAroundTileSizes) {
  Rng rng(1, Purpose::Test);
  for (int64_t m : {0, 1, 2, 3, 5, 6, 7, 11, 12, 13, 16, 17, 23, 24, 25, 31, 32, 33, 48}) {
    for (int64_t n : {0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65}) {
      check_both({m, n, 6, 2, rng.below(2) == 1, static_cast<int64_t>(rng.below(3))}, rng);
    }
  }
}

TEST_P(BrgemmPairs, AgreesOnEveryColumnCount) {
  Rng rng(2, Purpose::Test);
  for (int64_t n = 0; n <= 65; ++n) check_both({5, n, 4, 1, n % 3 == 1, 0}, rng);
}

TEST_P(BrgemmPairs, AgreesOnEveryEvenDepth) {
  Rng rng(3, Purpose::Test);
  for (int64_t k = 0; k <= 130; k += 2) check_both({7, 19, k, 2, k % 4 == 2, k % 3}, rng);
}

TEST_P(BrgemmPairs, AgreesOnRandomShapes) {
  Rng rng(4, Purpose::Test);
  for (int repeat = 0; repeat < 200; ++repeat) {
    const auto below = [&](uint64_t limit) { return static_cast<int64_t>(rng.below(limit)); };
    check_both({below(70), below(70), 2 * below(40), below(10), below(2) == 1, below(40)}, rng);
  }
}

TEST_P(BrgemmPairs, AgreesOnTheShapesOfConvolutions) {
  Rng rng(5, Purpose::Test);
  check_both({64, 32, 64, 9, false, 0}, rng);
  check_both({64, 16, 16, 9, false, 0}, rng);
  check_both({32, 32, 32, 49, false, 0}, rng);
  check_both({64, 64, 32, 16, true, 0}, rng);
  check_both({1, 32, 128, 9, false, 0}, rng);
}

/// 1 x 2 times 2 x 1, rounded to bf16.
bf16 product_of_pair(const BrgemmVariant& v, bf16 a0, bf16 a1, bf16 b0, bf16 b1) {
  const bf16 a[2] = {a0, a1}, b[2] = {b0, b1};
  const BrgemmTerm<bf16> term{a, b};
  bf16 c;
  v.run_bf16_rounded({.m = 1, .n = 1, .k = 2, .a_row = 2, .b_pair = 2, .c_row = 1}, {&term, 1}, &c);
  return c;
}

TEST_P(BrgemmPairs, RoundsToNearestEvenAndKeepsNonFiniteNumbers) {
  const BrgemmVariant& v = GetParam();
  const bf16 one(1.0f), zero(0.0f);
  // 1 + 2^-8 lies halfway between 1 and 1 + 2^-7; 1 + 3 * 2^-8 halfway between 1 + 2^-7 and 1 + 2^-6.
  EXPECT_EQ(float(product_of_pair(v, one, bf16(0x1p-8f), one, one)), 1.0f);
  EXPECT_EQ(float(product_of_pair(v, one, bf16(0x3p-8f), one, one)), 1 + 0x1p-6f);
  EXPECT_EQ(float(product_of_pair(v, one, bf16(0x1.02p-8f), one, one)), 1 + 0x1p-7f);
  EXPECT_EQ(float(product_of_pair(v, bf16(0x1p127f), bf16(0x1p127f), one, one)), INFINITY);
  EXPECT_EQ(float(product_of_pair(v, bf16(-INFINITY), one, one, one)), -INFINITY);
  EXPECT_TRUE(std::isnan(float(product_of_pair(v, bf16(INFINITY), one, zero, one))));
  bf16 nan_of_few_bits;
  nan_of_few_bits.bits = 0x7f81;
  EXPECT_TRUE(std::isnan(float(product_of_pair(v, nan_of_few_bits, one, one, one))));
}

INSTANTIATE_TEST_SUITE_P(All, BrgemmPairs, testing::ValuesIn(all_variants()),
                         [](const auto& variant) { return std::string(variant.param.name); });

TEST(BrgemmPairsChoice, PublicCallsRunTheForcedVariant) {
  Rng rng(6, Purpose::Test);
  std::vector<bf16> a(37 * 42), b(42 * 29);
  for (bf16& v : a) v = bf16(static_cast<float>(rng.normal()));
  for (bf16& v : b) v = bf16(static_cast<float>(rng.normal()));
  const BrgemmPairsShape s{.m = 37, .n = 29, .k = 42, .a_row = 42, .b_pair = 58, .c_row = 29};
  const BrgemmTerm<bf16> term{a.data(), b.data()};
  for (const BrgemmVariant& v : brgemm_variants()) {
    if (!v.supported() || !v.serves(DType::BF16)) continue;
    force_brgemm_variant(v.name);
    std::vector<float> c(37 * 29), direct(37 * 29);
    std::vector<bf16> rounded(37 * 29), direct_rounded(37 * 29);
    brgemm(s, {&term, 1}, c.data(), false);
    brgemm(s, {&term, 1}, rounded.data());
    v.run_bf16(s, {&term, 1}, direct.data(), false);
    v.run_bf16_rounded(s, {&term, 1}, direct_rounded.data());
    EXPECT_EQ(c, direct) << v.name;
    for (size_t i = 0; i < c.size(); ++i) {
      ASSERT_EQ(rounded[i].bits, direct_rounded[i].bits) << v.name;
      ASSERT_EQ(rounded[i].bits, bf16(c[i]).bits) << v.name;  // rounded once, from the same sum
    }
  }
  force_brgemm_variant("auto");
}

TEST(BrgemmPairsChoice, OddDepthIsAnError) {
  const bf16 one(1.0f);
  const BrgemmTerm<bf16> term{&one, &one};
  float c = 0;
  EXPECT_THROW(brgemm(BrgemmPairsShape{.m = 1, .n = 1, .k = 1}, {&term, 1}, &c, false), InternalError);
}

TEST(EmulatedTiles, RefuseWhatTheProcessorRefuses) {
  EmulatedTiles tiles;
  EXPECT_THROW(tiles.zero<0>(), InternalError) << "not configured";
  TileConfig config;
  config.set(0, 3, 8);   // sums 3 x 2
  config.set(4, 3, 12);  // A 3 x 6
  config.set(6, 3, 8);   // B 3 pairs x 2
  tiles.configure(config);
  tiles.zero<0>();
  tiles.add_products<0, 4, 6>();
  EXPECT_THROW(tiles.zero<1>(), InternalError) << "not in use";
  const auto refused = [&](int tile, int64_t rows, int64_t bytes) {
    TileConfig other = config;
    other.set(tile, rows, bytes);
    tiles.configure(other);
    EXPECT_THROW((tiles.add_products<0, 4, 6>()), InternalError) << "tile " << tile << ": " << rows << " x " << bytes;
  };
  refused(0, 4, 8);
  refused(0, 3, 12);
  refused(4, 3, 16);
  refused(4, 4, 12);
  refused(6, 3, 12);
  refused(6, 2, 8);
  const auto illegal = [&](auto change) {
    TileConfig other = config;
    change(other);
    EXPECT_THROW(tiles.configure(other), InternalError);
  };
  illegal([](TileConfig& c) { c.set(0, 17, 64); });
  illegal([](TileConfig& c) { c.set(0, 16, 68); });
  illegal([](TileConfig& c) { c.set(1, 0, 4); });
  illegal([](TileConfig& c) { c.set(8, 1, 4); });
  illegal([](TileConfig& c) { c.palette = 2; });
  illegal([](TileConfig& c) { c.reserved[13] = 1; });
}

}  // namespace
}  // namespace kronbit
