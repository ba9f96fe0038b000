// Packed weights against the formula of the header, shapes around the panels and half panels.
#include "nn/ops/conv2d_pack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nn/ops/conv2d_pack/kernels.h"
#include "tensor/rng.h"

namespace kronbit::nn {
namespace {

/// Numbers of many sizes, some of them ties of the rounding, infinities, NaN and denormals.
float draw(Rng& rng) {
  switch (rng.below(16)) {
    case 0:
      return std::bit_cast<float>(static_cast<uint32_t>(rng.below(1u << 16)) << 16 | 0x8000u);  // a tie
    case 1:
      return static_cast<float>(rng.normal()) * 1e-40f;
    case 2:
      return std::numeric_limits<float>::quiet_NaN();
    case 3:
      return std::numeric_limits<float>::infinity();
    case 4:
      return -std::numeric_limits<float>::max();
    default:
      return static_cast<float>(rng.normal());
  }
}

Tensor random_weights(const Shape& shape, Rng& rng) {
  Tensor w = Tensor::zeros(shape);
  for (int64_t i = 0; i < w.count(); ++i) w.data<float>()[i] = draw(rng);
  return w;
}

/// One of the two packings, literally; `transposed`: rows are output channels and columns input channels.
std::vector<uint16_t> plain_pack(const Tensor& w, bool transposed) {
  const int64_t outputs = w.shape()[0], inputs = w.shape()[1], taps = w.shape()[2] * w.shape()[3];
  const int64_t rows = transposed ? outputs : inputs, columns = transposed ? inputs : outputs;
  std::vector<uint16_t> packed(static_cast<size_t>((columns + 31) / 32 * taps * pitch_of(rows) / 2 * 64));
  for (int64_t column = 0; column < columns; ++column) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t o = transposed ? row : column, c = transposed ? column : row;
        const int64_t at = ((column / 32 * taps + t) * pitch_of(rows) / 2 + row / 2) * 64 + 2 * (column % 32) + row % 2;
        packed[static_cast<size_t>(at)] = bf16(w.data<float>()[(o * inputs + c) * taps + t]).bits;
      }
    }
  }
  return packed;
}

std::vector<uint16_t> numbers(const Tensor& packed) {
  std::vector<uint16_t> bits;
  for (int64_t i = 0; i < packed.stored(); ++i) bits.push_back(packed.data<bf16>()[i].bits);
  return bits;
}

void check(const Shape& shape, Rng& rng) {
  const Tensor w = random_weights(shape, rng);
  const PackedConvWeights packed = pack_conv_weights(w, true);
  ASSERT_EQ(numbers(packed.forward), plain_pack(w, false)) << shape.text();
  ASSERT_EQ(numbers(packed.backward), plain_pack(w, true)) << shape.text();
  const PackedConvWeights forward = pack_conv_weights(w, false);
  ASSERT_EQ(numbers(forward.forward), plain_pack(w, false)) << shape.text();
  ASSERT_FALSE(forward.backward.defined());
}

TEST(ConvPack, EqualsTheFormula) {
  Rng rng(21, Purpose::Test);
  for (int64_t outputs : {1, 2, 15, 16, 17, 31, 32, 33, 63, 70}) {
    for (int64_t inputs : {1, 3, 8, 16, 17, 31, 32, 48, 65}) {
      for (int64_t kernel : {1, 3}) check({outputs, inputs, kernel, kernel}, rng);
    }
  }
}

TEST(ConvPack, AnyKernel) {
  Rng rng(22, Purpose::Test);
  for (int64_t height = 1; height <= 7; ++height) {
    for (int64_t width = 1; width <= 7; ++width) check({34, 19, height, width}, rng);
  }
}

class ConvPackKernels : public testing::TestWithParam<size_t> {};

// Parts of panels in both directions; what lies beside the part stays.
TEST_P(ConvPackKernels, EqualTheReference) {
  const PackKernel& kernel = pack_kernels()[GetParam()];
  if (!kernel.supported()) GTEST_SKIP() << kernel.name << " needs " << kernel.needs << ", which this machine lacks";
  Rng rng(23, Purpose::Test, {GetParam()});
  for (int repeat = 0; repeat < 400; ++repeat) {
    const auto columns = static_cast<int64_t>(1 + rng.below(32)), rows = static_cast<int64_t>(1 + rng.below(70));
    const auto taps = static_cast<int64_t>(rng.below(2) != 0 ? 1 + rng.below(26) : rng.below(2) != 0 ? 9 : 1);
    const bool transposed = rng.below(2) != 0;
    const Tensor w = random_weights({columns, rows, taps, 1}, rng);
    const PackSource source{
        w.data<float>(), transposed ? taps : rows * taps, transposed ? columns * taps : taps, columns, rows, taps};
    const int64_t pairs = pitch_of(rows) / 2, stride = pairs * 64;
    const auto begin = static_cast<int64_t>(rng.below(static_cast<uint64_t>(pairs)));
    const auto end = begin + 1 + static_cast<int64_t>(rng.below(static_cast<uint64_t>(pairs - begin)));
    std::vector<bf16> want(static_cast<size_t>(stride * taps), bf16(7.0f)), got = want;
    pack_panel_reference(source, begin, end, want.data(), stride);
    kernel.run(source, begin, end, got.data(), stride);
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_EQ(got[i].bits, want[i].bits) << "columns " << columns << " rows " << rows << " taps " << taps
                                           << " transposed " << transposed << " begin " << begin << " at " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ConvPackKernels, testing::Range(size_t{0}, pack_kernels().size()),
                         [](const auto& tested) { return std::string(pack_kernels()[tested.param].name); });

}  // namespace
}  // namespace kronbit::nn
