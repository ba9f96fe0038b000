// Every supported brgemm variant of f32 and f64 against the equation in double, sizes around the tile sizes, operands
// that end at a page that may not be touched.
#include "tensor/brgemm/brgemm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "tensor/cpu.h"
#include "tensor/rng.h"
#include "tests/tensor/guarded_array.h"
#include "tests/tensor/message_of.h"

namespace kronbit {
namespace {

struct Case {
  int64_t m, n, k, terms;
  bool transposed, accumulate;
  int64_t slack;  // how much longer than needed the rows of all operands are
  std::string text() const {
    return fmt::format("m {} n {} k {} terms {} transposed {} accumulate {} slack {}", m, n, k, terms, transposed,
                       accumulate, slack);
  }
};

/// Numbers an operand of `rows` rows of `cols` spans when rows start `stride` apart.
int64_t span_of(int64_t rows, int64_t cols, int64_t stride) {
  return rows > 0 && cols > 0 ? (rows - 1) * stride + cols : 0;
}

template <class T>
void check_case(const Case& test, Rng& rng) {
  BrgemmShape s{.m = test.m, .n = test.n, .k = test.k};
  const int64_t a_rows = test.transposed ? s.k : s.m, a_cols = test.transposed ? s.m : s.k;
  const int64_t a_stride = a_cols + test.slack;
  s.a_row = test.transposed ? 1 : a_stride;
  s.a_col = test.transposed ? a_stride : 1;
  s.b_row = s.n + test.slack;
  s.c_row = s.n + test.slack;
  const int64_t a_size = span_of(a_rows, a_cols, a_stride), b_size = span_of(s.k, s.n, s.b_row);
  const int64_t c_size = span_of(s.m, s.n, s.c_row);

  const auto count = static_cast<size_t>(test.terms);
  std::vector<std::unique_ptr<GuardedArray<T>>> memory;
  std::vector<BrgemmTerm<T>> terms(count);
  const auto fresh = [&](int64_t size) {
    memory.push_back(std::make_unique<GuardedArray<T>>(size));
    for (int64_t i = 0; i < size; ++i) memory.back()->data()[i] = static_cast<T>(rng.uniform(-1, 1));
    return memory.back()->data();
  };
  for (auto& term : terms) term = {fresh(a_size), fresh(b_size)};
  T* c = fresh(c_size);
  const std::vector<T> before(c, c + c_size);

  brgemm<T>(s, terms, c, test.accumulate);

  const double epsilon = sizeof(T) == 4 ? 1e-5 : 1e-13;
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.c_row && i * s.c_row + j < c_size; ++j) {
      const auto at = static_cast<size_t>(i * s.c_row + j);
      if (j >= s.n) {  // between the rows: untouched
        ASSERT_EQ(c[at], before[at]) << test.text() << " row " << i << " column " << j;
        continue;
      }
      double sum = test.accumulate ? static_cast<double>(before[at]) : 0, size = std::abs(sum);
      for (const auto& term : terms) {
        for (int64_t p = 0; p < s.k; ++p) {
          const double product =
              static_cast<double>(term.a[i * s.a_row + p * s.a_col]) * static_cast<double>(term.b[p * s.b_row + j]);
          sum += product;
          size += std::abs(product);
        }
      }
      ASSERT_NEAR(static_cast<double>(c[at]), sum, epsilon * size) << test.text() << " row " << i << " column " << j;
    }
  }
}

class BrgemmVariants : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    for (const BrgemmVariant& v : brgemm_variants()) {
      if (v.name == GetParam() && !v.supported()) {
        GTEST_SKIP() << "variant " << v.name << " needs " << v.needs << ", which this machine lacks";
      }
    }
    force_brgemm_variant(GetParam());
  }
  void TearDown() override { force_brgemm_variant("auto"); }
};

TEST_P(BrgemmVariants, AgreesAroundTileSizes) {
  Rng rng(1, Purpose::Test);
  for (int64_t m : {0, 1, 2, 3, 5, 6, 7, 11, 12, 13, 16, 23, 24, 25}) {
    for (int64_t n : {0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 63, 64, 65}) {
      const bool transposed = rng.below(2) == 1, accumulate = rng.below(2) == 1;
      check_case<float>({m, n, 3, 2, transposed, accumulate, static_cast<int64_t>(rng.below(3))}, rng);
    }
  }
}

TEST_P(BrgemmVariants, AgreesOnEveryColumnCount) {
  Rng rng(2, Purpose::Test);
  for (int64_t n = 0; n <= 65; ++n) check_case<float>({5, n, 4, 1, n % 2 == 1, n % 3 == 1, 0}, rng);
}

TEST_P(BrgemmVariants, AgreesOnRandomShapes) {
  Rng rng(3, Purpose::Test);
  for (int repeat = 0; repeat < 150; ++repeat) {
    const auto below = [&](uint64_t limit) { return static_cast<int64_t>(rng.below(limit)); };
    const Case test{below(70), below(70), below(70), below(10), below(2) == 1, below(2) == 1, below(40)};
    check_case<float>(test, rng);
    check_case<double>({test.m / 4, test.n / 4, test.k / 4, test.terms, test.transposed, test.accumulate, test.slack},
                       rng);
  }
}

TEST_P(BrgemmVariants, NothingToAdd) {
  Rng rng(4, Purpose::Test);
  for (bool accumulate : {false, true}) {
    check_case<float>({13, 33, 5, 0, false, accumulate, 3}, rng);
    check_case<float>({13, 33, 0, 4, true, accumulate, 3}, rng);
  }
}

TEST_P(BrgemmVariants, ForcedOneRuns) {
  EXPECT_EQ(brgemm_variant().name, GetParam());
  // The public call and the variant's own function give the same bits.
  Rng rng(5, Purpose::Test);
  std::vector<float> a(37 * 41), b(41 * 29), c(37 * 29), direct(37 * 29);
  for (float& v : a) v = static_cast<float>(rng.normal());
  for (float& v : b) v = static_cast<float>(rng.normal());
  const BrgemmShape s{.m = 37, .n = 29, .k = 41, .a_row = 41, .a_col = 1, .b_row = 29, .c_row = 29};
  const BrgemmTerm<float> term{a.data(), b.data()};
  brgemm<float>(s, {&term, 1}, c.data(), false);
  brgemm_variant().run_f32(s, {&term, 1}, direct.data(), false);
  EXPECT_EQ(c, direct);
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const BrgemmVariant& v : brgemm_variants()) {
    if (v.serves(DType::F32)) all.emplace_back(v.name);
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(All, BrgemmVariants, testing::ValuesIn(names()),
                         [](const testing::TestParamInfo<std::string>& variant) { return variant.param; });

TEST(BrgemmTable, ForcedVariantShowsInTheBits) {
  // (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24 with a fused multiply-add, and 0 when the product is rounded first.
  const float a = 1 + 0x1p-12f;
  const BrgemmTerm<float> term{&a, &a};
  for (const BrgemmVariant& v : brgemm_variants()) {
    if (!v.supported() || !v.serves(DType::F32) || v.name == "openblas")
      continue;  // the kernels of OpenBLAS depend on the machine
    force_brgemm_variant(v.name);
    float c = -(1 + 0x1p-11f);
    brgemm<float>({.m = 1, .n = 1, .k = 1, .a_row = 1, .b_row = 1, .c_row = 1}, {&term, 1}, &c, true);
    EXPECT_EQ(c, v.name == "reference" ? 0.0f : 0x1p-24f) << v.name;
  }
  force_brgemm_variant("auto");
}

TEST(BrgemmTable, RefusesUnknownNames) {
  const std::string message = message_of([] { force_brgemm_variant("avx9000"); });
  EXPECT_THAT(message, testing::HasSubstr("wanted one of auto, amx, avx512bf16, avx512, "));
  EXPECT_THAT(message, testing::HasSubstr("got avx9000"));
}

TEST(BrgemmTable, RefusesUnsupportedVariants) {
  bool found = false;
  for (const BrgemmVariant& v : brgemm_variants()) {
    if (v.supported()) continue;
    found = true;
    EXPECT_THROW(force_brgemm_variant(v.name), InputError) << v.name;
  }
  if (!found) GTEST_SKIP() << "this machine runs every variant";
}

TEST(BrgemmTable, BestSupportedVariantRunsUnlessForced) {
  force_brgemm_variant("reference");
  EXPECT_EQ(brgemm_variant().name, "reference");
  force_brgemm_variant("auto");
  EXPECT_EQ(brgemm_variant(DType::F64).name, "reference");
  for (DType type : {DType::F32, DType::BF16}) {
    for (const BrgemmVariant& v : brgemm_variants()) {
      if (!v.supported() || !v.serves(type) || (v.name == "avx512bf16" && !native_bf16())) continue;
      EXPECT_EQ(brgemm_variant(type).name, v.name);
      break;
    }
  }
}

TEST(BrgemmTable, LimitedInstructionSetsAreRespected) {
  const std::string_view best = brgemm_variant(DType::BF16).name;
  limit_isa("baseline");
  EXPECT_EQ(brgemm_variant(DType::F32).name, "openblas");
  EXPECT_EQ(brgemm_variant(DType::BF16).name, "reference");
  EXPECT_FALSE(native_bf16());
  EXPECT_THROW(force_brgemm_variant("avx2"), InputError);
  limit_isa("auto");
  EXPECT_EQ(brgemm_variant(DType::BF16).name, best);
  if (!cpu().avx2 || !cpu().fma) GTEST_SKIP() << "no AVX2 to be limited to";
  limit_isa("avx2");
  EXPECT_EQ(brgemm_variant(DType::F32).name, "avx2");
  EXPECT_EQ(brgemm_variant(DType::BF16).name, "avx2");
  EXPECT_THROW(force_brgemm_variant("avx512"), InputError);
  limit_isa("auto");
  EXPECT_EQ(brgemm_variant(DType::BF16).name, best);
}

TEST(BrgemmTable, ForcedVariantRunsWhatItServes) {
  const auto usual = [](DType type) {
    force_brgemm_variant("auto");
    return brgemm_variant(type).name;
  };
  const std::string_view f32 = usual(DType::F32), b16 = usual(DType::BF16);
  EXPECT_EQ(forced_brgemm_variant(), nullptr);
  bool partial = false;
  for (const BrgemmVariant& v : brgemm_variants()) {
    if (!v.supported()) continue;
    force_brgemm_variant(v.name);
    EXPECT_EQ(forced_brgemm_variant()->name, v.name);
    EXPECT_EQ(brgemm_variant(DType::F32).name, v.serves(DType::F32) ? v.name : f32);
    EXPECT_EQ(brgemm_variant(DType::BF16).name, v.serves(DType::BF16) ? v.name : b16);
    partial = partial || !v.serves(DType::F32) || !v.serves(DType::BF16);
  }
  force_brgemm_variant("auto");
  EXPECT_TRUE(partial);
}

}  // namespace
}  // namespace kronbit
