// The quantizers against METHOD's text, written out literally in double, compared with ==.
#include "quant/quantizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tensor/rng.h"
#include "tests/tensor/keep_threads.h"

namespace kronbit::quant {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kMax = std::numeric_limits<float>::max();
constexpr float kDenormal = std::numeric_limits<float>::denorm_min();

double half_even(double x) {
  const double f = std::floor(x), d = x - f;
  if (d != 0.5) return d < 0.5 ? f : f + 1;
  return std::fmod(f, 2) == 0 ? f : f + 1;
}
double to_float(double x) { return static_cast<double>(static_cast<float>(x)); }  // one rounding

struct Block {
  std::vector<int> q;
  float multiplier;
};

// One block of weights, as METHOD says. Double holds every intermediate exactly before its one rounding to float.
Block plain_weights(const std::vector<float>& w, int bits, Mode mode) {
  double largest = 0;
  for (float v : w)
    if (std::fabs(v) > largest || (std::fabs(v) == largest && v > 0)) largest = std::fabs(v);
  double extreme = -largest;
  for (float v : w)
    if (v == largest) extreme = largest;
  const double levels = std::ldexp(1.0, bits - 1);
  const bool zero = largest < std::ldexp(1.0, -120);
  Block block{std::vector<int>(w.size()), 0};
  for (size_t i = 0; i < w.size(); ++i) {
    double q = 0;
    if (mode == Mode::Binary) {
      q = w[i] < 0 ? -1 : 1;
    } else if (!zero && mode == Mode::SignedExtreme) {
      q = std::clamp(half_even(to_float(to_float(-levels / extreme) * w[i])), -levels, levels - 1);
    } else if (!zero) {
      q = std::clamp(std::floor(to_float(w[i] / largest) * levels), -levels, levels - 1);
    }
    block.q[i] = static_cast<int>(q);
  }
  double wq[8] = {}, numerator = 0, denominator = 0;
  for (size_t i = 0; i < w.size(); ++i) wq[i % 8] += static_cast<double>(w[i]) * block.q[i];
  numerator = ((wq[0] + wq[4]) + (wq[2] + wq[6])) + ((wq[1] + wq[5]) + (wq[3] + wq[7]));
  for (int q : block.q) denominator += q * q;
  if (!zero && denominator > 0) block.multiplier = static_cast<float>(numerator / denominator);
  return block;
}

// One block of activations.
std::vector<float> plain_activations(const std::vector<float>& x, const ActivationFormat& f) {
  double largest = 0;
  for (float v : x) largest = std::max(largest, static_cast<double>(std::fabs(v)));
  std::vector<float> y(x.size(), 0.0f);
  if (largest == 0) return y;
  const int e = std::ilogb(largest);
  const double step = std::ldexp(1.0, std::max(-149, f.is_signed ? e + 2 - f.bits : e + 1 - f.bits));
  const double low = f.is_signed ? -std::ldexp(1.0, f.bits - 1) : 0;
  const double high = f.is_signed ? std::ldexp(1.0, f.bits - 1) - 1 : std::ldexp(1.0, f.bits) - 1;
  for (size_t i = 0; i < x.size(); ++i) y[i] = static_cast<float>(step * std::clamp(half_even(x[i] / step), low, high));
  return y;
}

// Random numbers of several kinds: smooth, with many ties, over a huge range.
float draw(Rng& rng, int kind) {
  switch (kind) {
    case 0:
      return static_cast<float>(rng.normal());
    case 1:
      return static_cast<float>(static_cast<int>(rng.below(33)) - 16) / 16.0f;
    case 2:
      return static_cast<float>(rng.normal() * std::exp(rng.uniform(-60, 60)));
    default:
      return rng.below(4) ? 0.0f : static_cast<float>(rng.normal());
  }
}

const int64_t kBlocks[] = {1, 7, 16, 32, 64};

TEST(WeightQuantizer, EqualsThePlainDefinition) {
  for (int64_t c = 1; c <= 70; ++c) {
    for (int64_t block : kBlocks) {
      for (int bits = 1; bits <= 8; ++bits) {
        const Shape shape{2, c, (c % 3) + 1, 2};
        Rng rng(11, Purpose::Test,
                {static_cast<uint64_t>(c), static_cast<uint64_t>(block), static_cast<uint64_t>(bits)});
        std::vector<float> values(static_cast<size_t>(shape.count()));
        for (float& v : values) v = draw(rng, static_cast<int>(c % 4));
        const Tensor w = Tensor::from(shape, values);
        const Mode mode = (c + bits) % 3 == 0 ? Mode::PaperFloor : Mode::SignedExtreme;
        const QuantizedWeights q = quantize_weights(w, bits, mode, block);
        const std::vector<float> fake = fake_quantize_weights(w, bits, mode, block).values();
        ASSERT_EQ(fake, dequantize(q).values());

        const int64_t taps = shape[2] * shape[3];
        size_t integer = 0, multiplier = 0;
        for (int64_t o = 0; o < shape[0]; ++o)
          for (int64_t t = 0; t < taps; ++t)
            for (int64_t first = 0; first < c; first += block, ++multiplier) {
              std::vector<float> part;
              for (int64_t i = first; i < std::min(c, first + block); ++i)
                part.push_back(values[static_cast<size_t>((o * c + i) * taps + t)]);
              const Block want = plain_weights(part, bits, mode_at(mode, bits));
              ASSERT_EQ(q.multipliers[multiplier], want.multiplier)
                  << "c " << c << " block " << block << " bits " << bits << " mode " << name_of(mode);
              for (size_t i = 0; i < part.size(); ++i, ++integer) {
                ASSERT_EQ(q.integers[integer], want.q[i]) << "c " << c << " block " << block << " bits " << bits;
                const auto at = static_cast<size_t>((o * c + first + static_cast<int64_t>(i)) * taps + t);
                ASSERT_EQ(fake[at], want.multiplier * static_cast<float>(want.q[i]));
              }
            }
      }
    }
  }
}

QuantizedWeights one_block(const std::vector<float>& w, int bits, Mode mode = Mode::SignedExtreme) {
  return quantize_weights(Tensor::from({1, static_cast<int64_t>(w.size()), 1, 1}, w), bits, mode, 32);
}

TEST(WeightQuantizer, TheExtremeLandsOnTheLongEnd) {
  for (int bits = 2; bits <= 8; ++bits) {
    for (float extreme : {3.0f, -3.0f, kMax, -kMax, 1e-30f}) {
      const QuantizedWeights q = one_block({extreme / 7, extreme, -extreme / 2}, bits);
      EXPECT_EQ(q.integers[1], -(1 << (bits - 1)));
      EXPECT_EQ(std::signbit(q.multipliers[0]), extreme > 0);
    }
  }
}

TEST(WeightQuantizer, DegenerateBlocks) {
  for (Mode mode : {Mode::SignedExtreme, Mode::PaperFloor}) {
    for (int bits = 2; bits <= 8; ++bits) {
      EXPECT_EQ(one_block({0.0f, -0.0f, 0.0f}, bits, mode).multipliers[0], 0.0f);
      EXPECT_EQ(one_block({kDenormal, -kDenormal}, bits, mode).integers[0], 0);  // counts as zero
    }
  }
  for (int bits = 2; bits <= 8; ++bits) {
    const Tensor equal = Tensor::from({1, 5, 1, 1}, {-0.3f, -0.3f, -0.3f, -0.3f, -0.3f});
    EXPECT_EQ(fake_quantize_weights(equal, bits, Mode::SignedExtreme).values(), equal.values());
    const QuantizedWeights huge = one_block({kMax, 1e-38f, -1e20f}, bits);
    EXPECT_EQ(huge.integers, (std::vector<int8_t>{static_cast<int8_t>(-(1 << (bits - 1))), 0, 0}));
    EXPECT_TRUE(std::isfinite(huge.multipliers[0]));
  }
  const QuantizedWeights binary = one_block({0.5f, -0.25f, 0.0f}, 1);
  EXPECT_EQ(binary.integers, (std::vector<int8_t>{1, -1, 1}));
  EXPECT_EQ(binary.multipliers[0], 0.25f);
  for (float bad : {kInf, -kInf, kNan})
    for (int bits : {1, 4}) EXPECT_TRUE(std::isnan(one_block({1, bad, 2}, bits).multipliers[0]));
}

TEST(WeightQuantizer, RefusesImpossibleRequests) {
  const Tensor w = Tensor::zeros({1, 3, 1, 1});
  EXPECT_THROW(quantize_weights(w, 0, Mode::SignedExtreme), InputError);
  EXPECT_THROW(quantize_weights(w, 9, Mode::SignedExtreme), InputError);
  EXPECT_THROW(quantize_weights(w, 2, Mode::Binary), InputError);
  EXPECT_THROW(quantize_weights(w, 2, Mode::SignedExtreme, 0), InputError);
  EXPECT_THROW(parse_mode("floor"), InputError);
  for (Mode mode : {Mode::SignedExtreme, Mode::Binary, Mode::PaperFloor}) EXPECT_EQ(parse_mode(name_of(mode)), mode);
}

Tensor random_activation(int64_t c, int kind, bool is_signed, Rng& rng) {
  Tensor x = Tensor::activation(2, 1, 3, c);
  for (int64_t r = 0; r < x.rows(); ++r)
    for (int64_t i = 0; i < c; ++i) x.row<float>(r)[i] = is_signed ? draw(rng, kind) : std::fabs(draw(rng, kind));
  return x;
}

TEST(ActivationQuantizer, EqualsThePlainDefinition) {
  for (int64_t c = 1; c <= 70; ++c) {
    for (int64_t block : kBlocks) {
      for (int bits = 1; bits <= 8; ++bits) {
        for (bool is_signed : {false, true}) {
          Rng rng(12, Purpose::Test,
                  {static_cast<uint64_t>(c), static_cast<uint64_t>(block), static_cast<uint64_t>(bits), is_signed});
          const ActivationFormat format{bits, is_signed, block};
          const Tensor x = random_activation(c, static_cast<int>((c + bits) % 4), is_signed, rng);
          const Tensor y = quantize_activations(x, format);
          const QuantizedActivations q = activation_mantissas(x, format);
          for (int64_t r = 0; r < x.rows(); ++r) {
            for (int64_t first = 0; first < c; first += block) {
              const int64_t end = std::min(c, first + block);
              const std::vector<float> want =
                  plain_activations({x.row<float>(r) + first, x.row<float>(r) + end}, format);
              for (int64_t i = first; i < end; ++i) {
                ASSERT_EQ(y.row<float>(r)[i], want[static_cast<size_t>(i - first)])
                    << "c " << c << " block " << block << " bits " << bits << " x " << x.row<float>(r)[i];
                const int m = q.mantissas[static_cast<size_t>(r * c + i)];
                ASSERT_GE(m, format.lowest());
                ASSERT_LE(m, format.highest());
                const int e = q.exponents[static_cast<size_t>(r * q.blocks + first / block)];
                ASSERT_EQ(std::ldexp(static_cast<float>(m), e), y.row<float>(r)[i]);
              }
            }
            for (int64_t i = c; i < y.pitch(); ++i) ASSERT_EQ(y.row<float>(r)[i], 0.0f);
          }
        }
      }
    }
  }
}

std::vector<float> one_pixel(const std::vector<float>& x, const ActivationFormat& format) {
  Tensor t = Tensor::activation(1, 1, 1, static_cast<int64_t>(x.size()));
  std::copy(x.begin(), x.end(), t.data<float>());
  return quantize_activations(t, format).values();
}

TEST(ActivationQuantizer, DegenerateBlocks) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (bool is_signed : {false, true}) {
      const ActivationFormat format{bits, is_signed, 32};
      EXPECT_EQ(one_pixel({0.0f, -0.0f}, format), (std::vector<float>{0, 0}));
      // A power of two alone: exact unless signed 1 bit, whose only non-zero level is negative.
      for (float v : {1.0f, 0x1p-110f, 0x1p-111f, 0x1p-149f, 0x1p125f}) {
        EXPECT_EQ(one_pixel({0, v, 0}, format)[1], is_signed && bits == 1 ? 0.0f : v)
            << v << " bits " << bits << " signed " << is_signed;
      }
      // Around the change of path at 2^-110 and in the denormals, as defined.
      for (float scale : {0x1p-109f, 0x1p-112f, 0x1p-130f, 0x1p-147f}) {
        const std::vector<float> x = {1.5f * scale, 0.3f * scale, 0.9f * scale, 1.99f * scale};
        EXPECT_EQ(one_pixel(x, format), plain_activations(x, format)) << scale;
      }
      for (float bad : {kInf, -kInf, kMax, 0x1p126f})
        for (float v : one_pixel({1, bad, 0}, format)) EXPECT_TRUE(std::isnan(v)) << bad;
      EXPECT_TRUE(std::isnan(one_pixel({kNan, 0, 0}, format)[0]));
      EXPECT_TRUE(std::isnan(one_pixel({1, kNan, 0}, format)[1]));
      EXPECT_TRUE(std::isfinite(one_pixel({-0x1.fffffep125f, 1, 0}, format)[0]));
    }
  }
  Tensor bad = Tensor::activation(1, 1, 1, 2);
  bad.data<float>()[0] = kNan;
  EXPECT_THROW(activation_mantissas(bad, {4, false, 32}), NumericalError);
}

TEST(ActivationQuantizer, GradientPassesStraightThroughExceptWhereSaturated) {
  // Unsigned 2 bits, M = 1.9: step 0.5, mantissas 0..3, so 1.9 (3.8 steps) rounds to 4 and saturates; 1.7 (3.4) does
  // not.
  const std::vector<float> values = {1.9f, 1.7f, 0.0f, 0.2f, 1.75f};  // 1.75 = 3.5 steps: half to even, 4
  Tensor x = Tensor::activation(1, 1, 1, 5), dy = Tensor::activation(1, 1, 1, 5);
  std::copy(values.begin(), values.end(), x.data<float>());
  for (int i = 0; i < 5; ++i) dy.data<float>()[i] = static_cast<float>(i + 1);
  EXPECT_EQ(quantize_activations_backward(dy, x, {2, false, 32}).values(), (std::vector<float>{0, 2, 3, 4, 0}));
  // Signed 2 bits: step 1, mantissas -2..1; 1.7 and 1.9 round to 2 and saturate, -1.9 rounds to -2 and does not.
  x.data<float>()[2] = -1.9f;
  EXPECT_EQ(quantize_activations_backward(dy, x, {2, true, 32}).values(), (std::vector<float>{0, 0, 3, 4, 0}));
}

TEST(ActivationQuantizer, SaturationIsExactlyWhereTheUnclampedMantissaLeavesTheRange) {
  Rng rng(13, Purpose::Test);
  for (int64_t c : {3, 32, 45, 64}) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (bool is_signed : {false, true}) {
        const ActivationFormat format{bits, is_signed, 32};
        const Tensor x = random_activation(c, 1, is_signed, rng);
        Tensor ones = Tensor::zeros_like(x);
        for (int64_t r = 0; r < x.rows(); ++r) std::fill_n(ones.row<float>(r), c, 1.0f);
        const Tensor dx = quantize_activations_backward(ones, x, format);
        for (int64_t r = 0; r < x.rows(); ++r) {
          for (int64_t i = 0; i < c; ++i) {
            double largest = 0;
            for (int64_t k = i / 32 * 32; k < std::min(c, i / 32 * 32 + 32); ++k)
              largest = std::max(largest, static_cast<double>(std::fabs(x.row<float>(r)[k])));
            if (largest == 0) continue;
            const double step = std::ldexp(1.0, std::ilogb(largest) + (is_signed ? 2 : 1) - bits);
            const double m = half_even(x.row<float>(r)[i] / step);
            EXPECT_EQ(dx.row<float>(r)[i], m < format.lowest() || m > format.highest() ? 0.0f : 1.0f);
          }
        }
      }
    }
  }
}

TEST(Quantizers, DoNotDependOnTheNumberOfThreads) {
  Rng rng(14, Purpose::Test);
  Tensor x = Tensor::activation(16, 16, 8, 40);
  for (int64_t r = 0; r < x.rows(); ++r)
    for (int64_t i = 0; i < 40; ++i) x.row<float>(r)[i] = static_cast<float>(rng.normal());
  Tensor w = Tensor::zeros({70, 40, 3, 3});
  for (int64_t i = 0; i < w.count(); ++i) w.data<float>()[i] = static_cast<float>(rng.normal());
  const KeepThreads keep;
  set_threads(1);
  const auto a = quantize_activations(x, {3, true, 32}).values();
  const auto b = fake_quantize_weights(w, 3, Mode::SignedExtreme).values();
  set_threads(5);
  EXPECT_EQ(quantize_activations(x, {3, true, 32}).values(), a);
  EXPECT_EQ(fake_quantize_weights(w, 3, Mode::SignedExtreme).values(), b);
}

}  // namespace
}  // namespace kronbit::quant
