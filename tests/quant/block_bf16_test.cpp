// The block products with folded bf16 weights: how far the weights and the sums may be off, and the kernels for AMX on
// emulated tiles, so on every machine, with rows read in place and rows copied first.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "quant/kernels/bf16/amx_kernel.h"
#include "quant/kernels/bf16/weights.h"
#include "tensor/rng.h"
#include "tests/tensor/emulated_tiles.h"
#include "tests/tensor/guarded_array.h"

namespace kronbit::quant {

/// For the names of tests.
void PrintTo(const BlockKernel& kernel, std::ostream* out);
void PrintTo(const BlockKernel& kernel, std::ostream* out) { *out << kernel.name; }

namespace {

struct CopyingEmulatedTiles : EmulatedTiles {
  static inline int64_t copied = 0;  // rows
  static void copy_rows(const std::byte* from, const int32_t* rows, int64_t count, int64_t pitch, int64_t bytes,
                        std::byte* to, int64_t to_pitch) {
    for (int64_t r = 0; r < count; ++r) {
      std::memcpy(to + r * to_pitch, from + rows[r] * pitch, static_cast<size_t>(bytes));
    }
    copied += count;
  }
};

BlockKernel emulated(const BlockKernel& kernel, std::string_view name, decltype(BlockKernel::run) run) {
  BlockKernel copy = kernel;
  copy.name = name, copy.run = run, copy.supported = [] { return true; };
  return copy;
}

std::vector<BlockKernel> kernels() {
  return {emulated(kBf16Amx, "bf16-emulated", folded_product_in_tiles<CopyingEmulatedTiles, false>),
          emulated(kBf16SplitAmx, "bf16-split-emulated", folded_product_in_tiles<CopyingEmulatedTiles, true>),
          kBf16Amx,
          kBf16Avx512,
          kBf16SplitAmx,
          kBf16SplitAvx512};
}

bool is_split(const BlockKernel& kernel) { return kernel.family == "bf16-split"; }

/// Which input rows a tap reads.
enum class Pattern { Consecutive, Strided, Backwards, OneRow, OneOff, Random };
constexpr Pattern kPatterns[] = {Pattern::Consecutive, Pattern::Strided, Pattern::Backwards,
                                 Pattern::OneRow,      Pattern::OneOff,  Pattern::Random};

struct Case {
  int64_t rows, outputs, channels, taps;
  Pattern pattern = Pattern::Random;
  int bits = 4;
  int64_t first_panel = 0, panels = -1, slack = 0;  // -1: all
  bool integers = false;                            // multipliers 1, steps 1
  std::string text() const {
    return fmt::format("rows {} outputs {} channels {} taps {} pattern {} bits {} panels {}+{} slack {}", rows, outputs,
                       channels, taps, static_cast<int>(pattern), bits, first_panel, panels, slack);
  }
};

std::vector<int32_t> rows_of(Pattern pattern, int64_t rows, int64_t x_rows, Rng& rng) {
  std::vector<int32_t> list;
  for (int64_t r = 0; r < rows; ++r) {
    int64_t row = r + 3;
    if (pattern == Pattern::Strided) row = 2 * r;
    if (pattern == Pattern::Backwards) row = rows - r;
    if (pattern == Pattern::OneRow) row = 1;
    if (pattern == Pattern::OneOff && r == rows - 1) row = r + 5;
    if (pattern == Pattern::Random) row = static_cast<int64_t>(rng.below(static_cast<uint64_t>(x_rows)));
    list.push_back(static_cast<int32_t>(row));
  }
  return list;
}

QuantizedWeights random_weights(const Case& c, Rng& rng) {
  QuantizedWeights w{{c.outputs, c.channels, c.taps, 1}, c.bits, mode_at(Mode::SignedExtreme, c.bits), 32, {}, {}};
  const auto limit = uint64_t{1} << (c.bits - 1);
  for (int64_t i = 0; i < w.shape.count(); ++i) {
    const int64_t q = static_cast<int64_t>(rng.below(2 * limit)) - static_cast<int64_t>(limit);
    w.integers.push_back(static_cast<int8_t>(c.bits == 1 ? 2 * q + 1 : q));
  }
  for (int64_t i = 0; i < c.outputs * c.taps * ((c.channels + 31) / 32); ++i) {
    w.multipliers.push_back(c.integers ? 1.0f : static_cast<float>(rng.normal() * 0.1));
  }
  return w;
}

/// Rows of mantissa * step; memory that ends where the rows do.
struct Rows {
  Rows(const Case& c, int64_t count, Rng& rng) : blocks((c.channels + 31) / 32), numbers(count * blocks * 32) {
    for (int64_t at = 0; at < count * blocks * 32; at += 32) {
      const float step = c.integers ? 1.0f : std::exp2(static_cast<float>(rng.below(12)) - 8.0f);
      for (int64_t i = 0; i < 32; ++i) {
        const bool inside = at % (blocks * 32) + i < c.channels;
        numbers.data()[at + i] = bf16(inside ? step * static_cast<float>(rng.below(256)) : 0.0f);
      }
    }
  }
  RowsView view() {
    return {RowForm::Bf16, {8, false, 32}, blocks, reinterpret_cast<const std::byte*>(numbers.data()),
            nullptr,       nullptr};
  }
  double number(int64_t row, int64_t channel) { return double(numbers.data()[row * blocks * 32 + channel]); }
  int64_t blocks;
  GuardedArray<bf16> numbers;
};

/// One call against the formula in double, sums of magnitudes beside it.
void check(const BlockKernel& kernel, const Case& c, Rng& rng) {
  const int64_t x_rows = 2 * c.rows + 5;
  const QuantizedWeights w = random_weights(c, rng);
  const LayerShape shape{c.outputs, c.channels, c.taps, c.bits, w.mode, {8, false, 32}};
  GuardedArray<std::byte> weights(kernel.packed_bytes(shape));
  kernel.pack(shape, pack_layer("layer", w, MultiplierFormat::F32), 0, shape.panels(), weights.data());
  Rows x(c, x_rows, rng);
  std::vector<std::vector<int32_t>> lists;
  std::vector<Tap> taps;
  for (int64_t t = c.taps - 1; t >= 0; --t) lists.push_back(rows_of(c.pattern, c.rows, x_rows, rng));
  for (int64_t t = 0; t < c.taps; ++t) taps.push_back({lists[static_cast<size_t>(t)].data(), c.taps - 1 - t});
  const int64_t panels = c.panels < 0 ? shape.panels() : c.panels, pitch = 16 * panels + c.slack;
  const int64_t size = c.rows > 0 && panels > 0 ? (c.rows - 1) * pitch + 16 * panels : 0;
  GuardedArray<float> y(size);
  std::fill_n(y.data(), size, -7.0f);

  kernel.run(shape, weights.data(), x.view(), {taps, c.rows, c.first_panel, panels, y.data(), pitch});

  const double bound = c.integers ? 0 : is_split(kernel) ? 1e-5 : 4e-3;
  for (int64_t at = 0; at < size; ++at) {
    const int64_t r = at / pitch, o = 16 * c.first_panel + at % pitch;
    if (at % pitch >= 16 * panels) {
      ASSERT_EQ(y.data()[at], -7.0f) << c.text() << " row " << r << ", behind the panels";
      continue;
    }
    double sum = 0, magnitudes = 0;
    for (const Tap& tap : taps) {
      for (int64_t k = 0; k < c.channels && o < c.outputs; ++k) {
        const int64_t position = o * c.taps + tap.tap;
        const double term = double(w.multipliers[static_cast<size_t>(position * x.blocks + k / 32)]) *
                            w.integers[static_cast<size_t>(position * c.channels + k)] * x.number(tap.x_rows[r], k);
        sum += term, magnitudes += std::abs(term);
      }
    }
    ASSERT_NEAR(y.data()[at], sum, bound * magnitudes) << c.text() << " row " << r << " output " << o;
  }
}

class BlockBf16 : public testing::TestWithParam<BlockKernel> {
 protected:
  void SetUp() override {
    if (!GetParam().supported()) GTEST_SKIP() << GetParam().name << " needs " << GetParam().needs;
  }
  Rng rng_{1, Purpose::Test};
};

TEST_P(BlockBf16, AgreesOnEveryNumberOfRows) {
  for (int64_t rows = 0; rows <= 70; ++rows) {
    for (const Pattern pattern : {Pattern::Consecutive, Pattern::Random}) {
      check(GetParam(), {.rows = rows, .outputs = 20, .channels = 40, .taps = 2, .pattern = pattern}, rng_);
    }
  }
}

TEST_P(BlockBf16, AgreesForEveryWayRowsLie) {
  for (const Pattern pattern : kPatterns) {
    for (const int64_t rows : {1, 2, 3, 16, 17, 31, 32, 33, 48, 64}) {
      for (const int64_t channels : {7, 32, 128, 161, 300}) {
        check(GetParam(), {.rows = rows, .outputs = 16, .channels = channels, .taps = 3, .pattern = pattern}, rng_);
      }
    }
  }
}

TEST_P(BlockBf16, AgreesForEveryCutIntoPanels) {
  for (const int64_t outputs : {1, 33, 100}) {
    const int64_t all = 2 * ((outputs + 31) / 32);
    for (int64_t first = 0; first < all; ++first) {
      for (int64_t panels = 0; panels <= all - first; ++panels) {
        check(GetParam(),
              {.rows = 19,
               .outputs = outputs,
               .channels = 32,
               .taps = 1,
               .bits = 8,
               .first_panel = first,
               .panels = panels,
               .slack = 3 * (panels % 3)},
              rng_);
      }
    }
  }
}

TEST_P(BlockBf16, AgreesForAllBitsWithoutTapsAndForLongSums) {
  for (int bits = 1; bits <= 8; ++bits) {
    check(GetParam(), {.rows = 21, .outputs = 32, .channels = 64, .taps = 9, .bits = bits}, rng_);
  }
  check(GetParam(), {.rows = 21, .outputs = 32, .channels = 64, .taps = 0}, rng_);
  check(GetParam(), {.rows = 3, .outputs = 16, .channels = 1024, .taps = 9, .bits = 8}, rng_);
}

TEST_P(BlockBf16, SumsOfIntegersAreExact) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const int64_t rows : {1, 5, 12, 16, 40}) {
      check(GetParam(), {.rows = rows, .outputs = 32, .channels = 96, .taps = 4, .bits = bits, .integers = true}, rng_);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, BlockBf16, testing::ValuesIn(kernels()), [](const auto& test) {
  std::string name(test.param.name);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(BlockBf16Weights, LieWithinTheirRounding) {
  Rng rng(2, Purpose::Test);
  for (const int64_t outputs : {1, 16, 40}) {
    for (const int64_t channels : {5, 32, 70}) {
      const Case c{.rows = 0, .outputs = outputs, .channels = channels, .taps = 3, .bits = 8};
      const QuantizedWeights w = random_weights(c, rng);
      const PackedLayer layer = pack_layer("layer", w, MultiplierFormat::F32);
      const LayerShape shape{outputs, channels, 3, 8, w.mode, {8, false, 32}};
      std::vector<bf16> folded(static_cast<size_t>(kBf16Amx.packed_bytes(shape) / 2));
      std::vector<bf16> split(static_cast<size_t>(kBf16SplitAmx.packed_bytes(shape) / 2));
      ASSERT_EQ(split.size(), 2 * folded.size());
      kBf16Amx.pack(shape, layer, 0, shape.panels(), reinterpret_cast<std::byte*>(folded.data()));
      kBf16SplitAmx.pack(shape, layer, 0, shape.panels(), reinterpret_cast<std::byte*>(split.data()));
      const int64_t blocks = shape.blocks();
      for (int64_t i = 0; i < static_cast<int64_t>(folded.size()); ++i) {
        // [panel][tap][block][16 pairs][16 outputs][2]
        const int64_t lane = i / 32 % 16 * 2 + i % 2, k = i / 512 % blocks, t = i / 512 / blocks % 3;
        const int64_t o = i / 512 / blocks / 3 * 16 + i / 2 % 16, channel = 32 * k + lane, position = o * 3 + t;
        const double want = o < outputs && channel < channels
                                ? double(w.multipliers[static_cast<size_t>(position * blocks + k)]) *
                                      w.integers[static_cast<size_t>(position * channels + channel)]
                                : 0;
        const auto hi = static_cast<size_t>(i / 512 * 1024 + i % 512);
        ASSERT_NEAR(double(folded[static_cast<size_t>(i)]), want, 0x1p-8 * std::abs(want));
        ASSERT_EQ(split[hi].bits, folded[static_cast<size_t>(i)].bits);
        ASSERT_NEAR(double(split[hi]) + double(split[hi + 512]), want, (0x1p-17 + 0x1p-24) * std::abs(want));
      }
    }
  }
}

TEST(BlockBf16Amx, CopiesOnlyRowsThatAreNotEquallyApart) {
  Rng rng(3, Purpose::Test);
  const BlockKernel kernel = kernels()[0];
  for (const Pattern pattern : kPatterns) {
    CopyingEmulatedTiles::copied = 0;
    check(kernel, {.rows = 48, .outputs = 32, .channels = 160, .taps = 2, .pattern = pattern}, rng);
    // OneOff: the last 16 rows of both taps, 4 and 1 blocks of channels; Random: all 48.
    const int64_t want = pattern == Pattern::OneOff ? 16 * 2 * 2 : pattern == Pattern::Random ? 48 * 2 * 2 : 0;
    EXPECT_EQ(CopyingEmulatedTiles::copied, want) << static_cast<int>(pattern);
  }
}

}  // namespace
}  // namespace kronbit::quant
