// The packings of bf16 operands: every variant against the formula, operands that end at a page that may not be
// touched.
#include "tensor/brgemm/pack.h"

#include <gtest/gtest.h>

#include "tensor/rng.h"
#include "tests/tensor/guarded_array.h"

namespace kronbit {
namespace {

struct Case {
  int64_t rows, columns, slack;
};

/// Runs the copy of a case and compares every number between the first and the last one of `to`. at(r, c): where
/// number (r, c) belongs.
template <class At>
void check(PackVariant::Copy* copy, const Case& test, int64_t to_size, int64_t to_stride, At at, Rng& rng) {
  const int64_t from_row = test.columns + test.slack;
  const int64_t from_size = test.rows > 0 && test.columns > 0 ? (test.rows - 1) * from_row + test.columns : 0;
  GuardedArray<bf16> from(from_size), to(to_size);
  for (int64_t i = 0; i < from_size; ++i) from.data()[i].bits = static_cast<uint16_t>(rng.below(1 << 16));
  std::vector<uint16_t> wanted(static_cast<size_t>(to_size), 0x1234);
  for (int64_t i = 0; i < to_size; ++i) to.data()[i].bits = 0x1234;
  for (int64_t r = 0; r < round_up(test.rows, 2); ++r) {
    for (int64_t c = 0; c < test.columns; ++c)
      wanted[static_cast<size_t>(at(r, c))] = r < test.rows ? from.data()[r * from_row + c].bits : uint16_t{0};
  }
  copy(from.data(), test.rows, test.columns, from_row, to.data(), to_stride);
  for (int64_t i = 0; i < to_size; ++i) {
    ASSERT_EQ(to.data()[i].bits, wanted[static_cast<size_t>(i)])
        << test.rows << " rows, " << test.columns << " columns, slack " << test.slack << ", number " << i;
  }
}

void check(const PackVariant& v, const Case& test, Rng& rng) {
  SCOPED_TRACE(v.name);
  const int64_t rows = round_up(test.rows, 2), slack = test.slack % 5;
  const int64_t pair = 2 * test.columns + slack, row = rows + slack;
  check(
      v.pairs, test, test.columns > 0 && rows > 0 ? (rows / 2 - 1) * pair + 2 * test.columns : 0, pair,
      [&](int64_t r, int64_t c) { return r / 2 * pair + 2 * c + r % 2; }, rng);
  check(
      v.transpose, test, test.columns > 0 && rows > 0 ? (test.columns - 1) * row + rows : 0, row,
      [&](int64_t r, int64_t c) { return c * row + r; }, rng);
}

class Packing : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    if (!variant().supported()) GTEST_SKIP() << "this machine lacks the instructions of variant " << variant().name;
  }
  static const PackVariant& variant() { return pack_variants()[GetParam()]; }
};

TEST_P(Packing, AgreesAroundBlockSizes) {
  Rng rng(1, Purpose::Test);
  for (int64_t rows : {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 39, 63, 64, 65}) {
    for (int64_t columns : {0, 1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 64, 70})
      check(variant(), {rows, columns, static_cast<int64_t>(rng.below(7))}, rng);
  }
}

TEST_P(Packing, AgreesOnEverySize) {
  Rng rng(2, Purpose::Test);
  for (int64_t n = 0; n <= 70; ++n) {
    check(variant(), {n, 37, n % 3}, rng);
    check(variant(), {37, n, n % 3}, rng);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Packing, testing::Range(size_t{0}, pack_variants().size()),
                         [](const auto& index) { return std::string(pack_variants()[index.param].name); });

TEST(PackingChoice, PublicCallsPack) {
  Rng rng(3, Purpose::Test);
  const PackVariant chosen{"chosen", nullptr, pack_pairs, pack_transpose};
  check(chosen, {32, 64, 0}, rng);
  check(chosen, {33, 70, 2}, rng);
}

}  // namespace
}  // namespace kronbit
