// Bit planes and multipliers: layout by hand, there and back, and the reference kernel against the dequantized product.
#include "quant/packed_layer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nn/models/models.h"
#include "quant/kernels/reference.h"
#include "tensor/io/safetensors.h"
#include "tensor/rng.h"
#include "tests/nn/random_tensors.h"

namespace kronbit::quant {
namespace {

Tensor random_weights(const Shape& shape, uint64_t seed) { return nn::random_tensor(shape, seed).to(DType::F32); }

TEST(F16, RoundsEveryHalfToItselfAndTiesToEven) {
  for (int bits = 0; bits < 0x7c00; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = float_of_f16(half), next = float_of_f16(static_cast<uint16_t>(bits + 1));
    ASSERT_EQ(f16_of_float(value), half);
    ASSERT_EQ(f16_of_float(-value), half | 0x8000);
    if (bits + 1 == 0x7c00) break;
    const float middle = value + (next - value) / 2;  // exact
    ASSERT_EQ(f16_of_float(middle), bits % 2 == 0 ? bits : bits + 1);
    ASSERT_EQ(f16_of_float(std::nextafter(middle, 0.0f)), half);
    ASSERT_EQ(f16_of_float(std::nextafter(middle, 1e9f)), bits + 1);
  }
  EXPECT_EQ(f16_of_float(65519.0f), 0x7bff);
  EXPECT_EQ(f16_of_float(65520.0f), 0x7c00);
}

TEST(PackedLayer, HasThePlanesOfTheDrawing) {
  // One position of 11 channels in blocks of 8: lanes 0..7 and 8..10; 3 bits, two's complement.
  QuantizedWeights q{{1, 11, 1, 1}, 3, Mode::SignedExtreme, 8, {0, 1, 2, 3, -4, -3, -2, -1, 3, -4, 1}, {0.5f, -2.0f}};
  const PackedLayer layer = pack_layer("a", q, MultiplierFormat::F16);
  // bit 0 is set in 1, 3, -3, -1; bit 1 in 2, 3, -2, -1; bit 2 in the negative ones.
  EXPECT_EQ(layer.planes, (std::vector<uint8_t>{0b10101010, 0b11001100, 0b11110000, 0b101, 0b001, 0b010}));
  EXPECT_EQ(layer.multipliers, q.multipliers);
  EXPECT_EQ(layer.bytes(), 6 + 2 * 2);
  EXPECT_EQ(unpack(layer).integers, q.integers);
  EXPECT_TRUE(padding_is_zero(layer));
  PackedLayer dirty = layer;
  dirty.planes[3] = static_cast<uint8_t>(dirty.planes[3] | 0b1000);
  EXPECT_FALSE(padding_is_zero(dirty));

  QuantizedWeights binary{{1, 3, 1, 1}, 1, Mode::Binary, 32, {1, -1, -1}, {0.25f}};
  EXPECT_EQ(pack_layer("b", binary, MultiplierFormat::F16).planes, (std::vector<uint8_t>{0b110}));
}

TEST(PackedLayer, UnpacksToWhatWasPacked) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (int64_t block : {1, 7, 16, 32, 64}) {
      for (int64_t c : {1, 3, 31, 32, 33, 70}) {
        for (Mode mode : {Mode::SignedExtreme, Mode::PaperFloor}) {
          const QuantizedWeights q =
              quantize_weights(random_weights({3, c, 2, 1}, static_cast<uint64_t>(c)), bits, mode, block);
          const PackedLayer layer = pack_layer("a", q, MultiplierFormat::F32);
          const QuantizedWeights back = unpack(layer);
          ASSERT_EQ(back.integers, q.integers) << bits << " bits, block " << block << ", c " << c;
          ASSERT_EQ(back.multipliers, q.multipliers);
          ASSERT_TRUE(padding_is_zero(layer));
          const nn::ConvInfo info{.node = 1,
                                  .name = "a",
                                  .out_channels = 3,
                                  .in_channels = c,
                                  .kernel_h = 2,
                                  .kernel_w = 1,
                                  .out_h = 1,
                                  .out_w = 1};
          ASSERT_EQ(layer.bytes(), plane_bytes(info, bits, block) + 4 * multiplier_count(info, block));
        }
      }
    }
  }
}

TEST(PackedLayer, ChoosesAndChecksTheMultipliersFormat) {
  const auto with = [](float m) { return QuantizedWeights{{1, 1, 1, 1}, 2, Mode::SignedExtreme, 32, {1}, {m}}; };
  using enum MultiplierFormat;
  EXPECT_EQ(pack_layer("a", with(0.1f), Auto).format, F16);
  EXPECT_NEAR(pack_layer("a", with(0.1f), Auto).multipliers[0], 0.1, 0.1 * 0x1p-11);
  EXPECT_EQ(pack_layer("a", with(0.0f), Auto).format, F16);
  EXPECT_EQ(pack_layer("a", with(70000.0f), Auto).format, BF16);  // beyond FP16
  EXPECT_EQ(pack_layer("a", with(-1.1e-7f), Auto).format, BF16);  // FP16 would keep 1 of its bits
  EXPECT_EQ(pack_layer("a", with(1e-12f), F32).multipliers[0], 1e-12f);
  EXPECT_THROW(pack_layer("a", with(70000.0f), F16), InputError);
  EXPECT_THROW(pack_layer("a", with(1e-9f), F16), InputError);
  EXPECT_THROW(pack_layer("a", with(std::numeric_limits<float>::max()), BF16), InputError);  // rounds to infinity
  for (MultiplierFormat f : {Auto, F16, BF16, F32}) {
    EXPECT_THROW(pack_layer("a", with(std::numeric_limits<float>::quiet_NaN()), f), InputError);
    EXPECT_THROW(pack_layer("a", with(std::numeric_limits<float>::infinity()), f), InputError);
  }
}

struct ReferenceCase {
  int64_t c, o, kernel, stride, pad, block;
  int bits;
  bool is_signed;
  Mode mode;
};

TEST(ReferenceKernel, EqualsTheDequantizedConvolution) {
  const ReferenceCase cases[] = {
      {1, 1, 1, 1, 0, 32, 4, false, Mode::SignedExtreme},  {3, 5, 3, 1, 1, 32, 8, true, Mode::SignedExtreme},
      {33, 4, 3, 2, 1, 32, 1, false, Mode::SignedExtreme}, {64, 7, 1, 2, 0, 32, 3, true, Mode::SignedExtreme},
      {40, 6, 5, 1, 2, 16, 2, false, Mode::SignedExtreme}, {70, 3, 3, 1, 0, 7, 5, true, Mode::PaperFloor},
      {64, 3, 3, 1, 1, 64, 6, false, Mode::SignedExtreme}, {20, 9, 7, 2, 3, 32, 1, true, Mode::PaperFloor}};
  for (const ReferenceCase& k : cases) {
    const nn::Conv2dOptions conv{.in_channels = k.c,
                                 .out_channels = k.o,
                                 .kernel_h = k.kernel,
                                 .kernel_w = k.kernel,
                                 .stride = k.stride,
                                 .pad = k.pad};
    Tensor x = Tensor::activation(7, 6, 2, k.c);
    Rng rng(21, Purpose::Test, {static_cast<uint64_t>(k.c)});
    for (int64_t r = 0; r < x.rows(); ++r)
      for (int64_t i = 0; i < k.c; ++i) {
        const auto v = static_cast<float>(rng.normal());
        x.row<float>(r)[i] = k.is_signed ? v : std::max(v, 0.0f);
      }
    const PackedLayer layer =
        pack_layer("a", quantize_weights(random_weights({k.o, k.c, k.kernel, k.kernel}, 22), k.bits, k.mode, k.block),
                   MultiplierFormat::F16);
    const Tensor w = dequantize(unpack(layer));
    const ActivationFormat format{k.bits, k.is_signed, k.block};
    const Tensor xq = quantize_activations(x, format);
    const auto compare = [&](const Tensor& got, const Tensor& input, const char* what) {
      const Tensor want = nn::conv2d_forward(input, w, conv);
      ASSERT_EQ(got.shape(), want.shape());
      double scale = 1e-30;
      for (float v : want.values()) scale = std::max(scale, static_cast<double>(std::fabs(v)));
      const std::vector<float> a = got.values(), b = want.values();
      for (size_t i = 0; i < a.size(); ++i)
        ASSERT_NEAR(a[i], b[i], 2e-6 * scale) << what << ": c " << k.c << " bits " << k.bits << " block " << k.block;
    };
    compare(packed_conv_reference(x, layer, conv, format), xq, "integers");
    compare(packed_conv_reference(x, layer, conv), x, "image");
  }
}

TEST(ReferenceKernel, IsExactWhereFloatsAre) {
  // Powers of two as multipliers and small integers as activations: every product and sum is exact in any order.
  QuantizedWeights q{{2, 40, 3, 3}, 4, Mode::SignedExtreme, 32, {}, {}};
  Rng rng(23, Purpose::Test);
  for (int64_t i = 0; i < q.shape.count(); ++i) q.integers.push_back(static_cast<int8_t>(rng.below(16)) - 8);
  for (int i = 0; i < 2 * 9 * 2; ++i) q.multipliers.push_back(rng.below(2) ? 0.5f : -0.25f);
  Tensor x = Tensor::activation(5, 5, 3, 40);
  for (int64_t r = 0; r < x.rows(); ++r)
    for (int64_t i = 0; i < 40; ++i) x.row<float>(r)[i] = static_cast<float>(rng.below(16));
  const nn::Conv2dOptions conv{
      .in_channels = 40, .out_channels = 2, .kernel_h = 3, .kernel_w = 3, .stride = 1, .pad = 1};
  const PackedLayer layer = pack_layer("a", q, MultiplierFormat::F16);
  const ActivationFormat format{4, false, 32};
  const Tensor want = nn::conv2d_forward(quantize_activations(x, format), dequantize(q), conv);
  EXPECT_EQ(packed_conv_reference(x, layer, conv, format).values(), want.values());
}

}  // namespace
}  // namespace kronbit::quant
