// Every kernel of the two quantizers that this machine can run against the plain references, bit for bit, random sizes
// and numbers of many kinds; results that end where an array ends.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "quant/kernels/activations/kernels.h"
#include "quant/kernels/weights/kernels.h"
#include "tests/quant/strange_numbers.h"

namespace kronbit::quant {
namespace {

template <class T>
void expect_same(const std::vector<T>& got, const std::vector<T>& want, const std::string& what) {
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(bits_of(got[i]), bits_of(want[i]))
        << what << " at " << i << ": " << static_cast<float>(got[i]) << ", wanted " << static_cast<float>(want[i]);
  }
}

class ActivationKernelsTest : public testing::TestWithParam<size_t> {
 protected:
  const ActivationKernels& kernels() const { return activation_kernels()[GetParam()]; }
};

template <class T>
void check_activations(QuantizeBlocks<T> quantize, MaskBlocks<T> mask, const QuantizeBlocks<T> plain_quantize,
                       const MaskBlocks<T> plain_mask, Rng& rng) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const bool is_signed : {false, true}) {
      for (const int64_t block : {16, 32, 48, 64, 96}) {
        for (int repeat = 0; repeat < 4; ++repeat) {
          const auto count = static_cast<int64_t>(16 * rng.below(30));
          const ActivationFormat format{bits, is_signed, block};
          // Unsigned mantissas may meet negative numbers, too.
          const auto x = random_numbers<T>(count, block, is_signed || repeat == 0, rng);
          const auto dy = random_numbers<T>(count, block, true, rng);
          const std::string what = fmt::format("bits {} signed {} block {} count {}", bits, is_signed, block, count);
          std::vector<T> want(x.size()), got(x.size()), in_place = x;
          plain_quantize(x.data(), want.data(), count, block, format);
          quantize(x.data(), got.data(), count, block, format);
          quantize(in_place.data(), in_place.data(), count, block, format);
          expect_same(got, want, what);
          expect_same(in_place, want, what + " in place");
          in_place = dy;
          plain_mask(dy.data(), x.data(), want.data(), count, block, format);
          mask(dy.data(), x.data(), got.data(), count, block, format);
          mask(in_place.data(), x.data(), in_place.data(), count, block, format);
          expect_same(got, want, what + " backward");
          expect_same(in_place, want, what + " backward, in place");
        }
      }
    }
  }
}

TEST_P(ActivationKernelsTest, EqualTheReference) {
  if (!kernels().supported()) GTEST_SKIP() << kernels().name << " needs " << kernels().needs << ", which is missing";
  Rng rng(31, Purpose::Test, {GetParam()});
  const ActivationKernels& plain = kActivationsReference;
  check_activations<float>(kernels().quantize_f32, kernels().mask_f32, plain.quantize_f32, plain.mask_f32, rng);
  check_activations<bf16>(kernels().quantize_bf16, kernels().mask_bf16, plain.quantize_bf16, plain.mask_bf16, rng);
}

INSTANTIATE_TEST_SUITE_P(All, ActivationKernelsTest, testing::Range(size_t{0}, activation_kernels().size()),
                         [](const auto& tested) { return std::string(activation_kernels()[tested.param].name); });

class WeightKernelsTest : public testing::TestWithParam<size_t> {};

TEST_P(WeightKernelsTest, EqualTheReference) {
  const WeightKernels& kernels = weight_kernels()[GetParam()];
  if (!kernels.supported()) GTEST_SKIP() << kernels.name << " needs " << kernels.needs << ", which is missing";
  Rng rng(32, Purpose::Test, {GetParam()});
  for (int bits = 1; bits <= 8; ++bits) {
    for (const Mode mode : {Mode::SignedExtreme, Mode::PaperFloor}) {
      for (int repeat = 0; repeat < 60; ++repeat) {
        const auto taps = static_cast<int64_t>(repeat % 3 == 0 ? 1 : repeat % 3 == 1 ? 9 : 1 + rng.below(80));
        const auto channels = static_cast<int64_t>(repeat % 2 != 0 ? 8 * (1 + rng.below(8)) : 1 + rng.below(65));
        const auto groups = static_cast<int64_t>(1 + rng.below(static_cast<uint64_t>(most_groups(taps))));
        const WeightBlocks blocks{groups, channels, taps, bits, mode_at(mode, bits), rng.below(2) != 0};
        // Each block is of one kind; its numbers lie `taps` apart.
        std::vector<float> w(static_cast<size_t>(groups * channels * taps)), block(static_cast<size_t>(channels));
        for (int64_t g = 0; g < groups; ++g) {
          for (int64_t t = 0; t < taps; ++t) {
            fill(block, 0, block.size(), rng);
            for (int64_t c = 0; c < channels; ++c)
              w[static_cast<size_t>((g * channels + c) * taps + t)] = block[static_cast<size_t>(c)];
          }
        }
        WeightScratch scratch(taps);
        std::vector<float> want(w.size()), got(w.size());
        std::vector<float> want_xi(static_cast<size_t>(groups * taps)), got_xi(want_xi.size());
        quantize_weight_blocks_reference(w.data(), want.data(), want_xi.data(), blocks, scratch);
        kernels.quantize(w.data(), got.data(), got_xi.data(), blocks, scratch);
        const std::string what = fmt::format("bits {} {} taps {} channels {} groups {} multiply {}", bits,
                                             name_of(blocks.mode), taps, channels, groups, blocks.multiply);
        expect_same(got, want, what);
        expect_same(got_xi, want_xi, what + " multipliers");
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, WeightKernelsTest, testing::Range(size_t{0}, weight_kernels().size()),
                         [](const auto& tested) { return std::string(weight_kernels()[tested.param].name); });

// Rows of any pitch and block, both types, against blocks cut by hand.
template <class T>
void check_rows(Rng& rng) {
  for (int repeat = 0; repeat < 300; ++repeat) {
    const auto channels = static_cast<int64_t>(1 + rng.below(100)), rows = static_cast<int64_t>(rng.below(6));
    const auto block = static_cast<int64_t>(1 + rng.below(70));
    const int64_t pitch = rng.below(4) == 0 ? channels : pitch_of(channels);
    const ActivationFormat format{static_cast<int>(1 + rng.below(8)), rng.below(2) != 0, block};
    std::vector<T> x(static_cast<size_t>(rows * pitch)), dy = x, want = x, want_dx = x, got = x, got_dx = x;
    for (int64_t r = 0; r < rows; ++r) {
      const auto a = random_numbers<T>(channels, block, true, rng), b = random_numbers<T>(channels, block, true, rng);
      std::copy(a.begin(), a.end(), x.begin() + r * pitch);
      std::copy(b.begin(), b.end(), dy.begin() + r * pitch);
      for (int64_t c = 0; c < channels; c += block) {
        const int64_t at = r * pitch + c, n = std::min(block, channels - c);
        quantize_block_reference(x.data() + at, want.data() + at, n, format);
        mask_block_reference(dy.data() + at, x.data() + at, want_dx.data() + at, n, format);
      }
    }
    quantize_rows(x.data(), got.data(), rows, pitch, channels, format);
    quantize_rows_backward(dy.data(), x.data(), got_dx.data(), rows, pitch, channels, format);
    const std::string what = fmt::format("channels {} pitch {} block {} bits {}", channels, pitch, block, format.bits);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < pitch; ++c) {
        const auto i = static_cast<size_t>(r * pitch + c);
        ASSERT_EQ(bits_of(got_dx[i]), bits_of(want_dx[i])) << what << " row " << r << " channel " << c;
        ASSERT_EQ(bits_of(got[i]), bits_of(want[i])) << what << " row " << r << " channel " << c;
      }
    }
  }
}

TEST(QuantizeRows, EqualBlocksCutByHand) {
  Rng rng(33, Purpose::Test);
  check_rows<float>(rng);
  check_rows<bf16>(rng);
}

}  // namespace
}  // namespace kronbit::quant
