// Every kernel of the block-scaled product against the formula in double and, if it is exact, against the reference bit
// for bit: random layers, formats, sizes, taps, cuts into calls. One test per kernel of the table.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "quant/kernels/block_product.h"
#include "quant/kernels/rows.h"
#include "tensor/cpu.h"
#include "tests/quant/random_products.h"

namespace kronbit::quant {
namespace {

constexpr float kUntouched = -12345.5f;

struct Case {
  LayerShape shape;
  int64_t rows = 0;
  uint64_t seed = 0;
};

std::string describe(const Case& c) {
  return "seed " + std::to_string(c.seed) + ": " + describe(c.shape) + ", rows " + std::to_string(c.rows);
}

/// How far a kernel may be off, relative to the sum of magnitudes. Exact ones only add in FP32; folding rounds every
/// weight to bf16, splitting to two of them.
double bound_of(const BlockKernel& kernel) {
  return kernel.exact || kernel.name.find("split") != std::string_view::npos ? 1e-5 : 0x1p-8;
}

/// One call of a kernel: which panels, and where the results lie.
struct Call {
  std::vector<Tap> taps;
  int64_t first_panel = 0, panels = 0, pitch = 0;
};

/// Runs a kernel into memory full of kUntouched, from an address that is a multiple of 4 bytes only. Returns the whole
/// memory; y starts at element 1.
std::vector<float> run(const BlockKernel& kernel, const Case& c, const std::byte* weights, const Activations& a,
                       const Call& call) {
  AlignedBytes bytes(64 * std::max<int64_t>(1, a.rows * a.blocks));
  const RowsView view = view_of(a, kernel.form, bytes);
  std::vector<float> y(static_cast<size_t>(c.rows * call.pitch + 34), kUntouched);
  const ProductSpec spec{call.taps, c.rows, call.first_panel, call.panels, y.data() + 1, call.pitch};
  kernel.run(c.shape, weights, view, spec);
  return y;
}

void pack(const BlockKernel& kernel, const LayerShape& shape, const PackedLayer& layer, AlignedBytes& weights,
          Rng& rng) {
  kernel.pack(shape, layer, 0, shape.panels(), weights.data());
  EXPECT_TRUE(weights.guard_is_whole());
  AlignedBytes parts(kernel.packed_bytes(shape));
  int64_t middle = static_cast<int64_t>(rng.below(static_cast<uint64_t>(shape.panels() + 1)));
  kernel.pack(shape, layer, middle, shape.panels() - middle, parts.data());
  for (int64_t panel = 0; panel < middle; ++panel) kernel.pack(shape, layer, panel, 1, parts.data());
  EXPECT_TRUE(parts.guard_is_whole());
  EXPECT_TRUE(parts.same_as(weights)) << "packing in parts differs";
}

void check_results(const BlockKernel& kernel, const Case& c, const Activations& a, const QuantizedWeights& w,
                   const Call& call, const std::vector<float>& got, const std::vector<float>& want) {
  ASSERT_EQ(got[0], kUntouched);
  for (size_t i = 1 + static_cast<size_t>(c.rows * call.pitch); i < got.size(); ++i) ASSERT_EQ(got[i], kUntouched);
  for (int64_t r = 0; r < c.rows; ++r) {
    for (int64_t i = 0; i < call.pitch; ++i) {
      const auto at = static_cast<size_t>(1 + r * call.pitch + i);
      if (i >= 16 * call.panels) {
        ASSERT_EQ(got[at], kUntouched) << "row " << r << " behind the panels";
        continue;
      }
      const Sums sums = formula(c.shape, w, a, call.taps, r, 16 * call.first_panel + i);
      ASSERT_NEAR(got[at], sums.sum, bound_of(kernel) * sums.magnitudes) << "row " << r << " output " << i;
      if (kernel.exact) {
        ASSERT_EQ(std::bit_cast<uint32_t>(got[at]), std::bit_cast<uint32_t>(want[at]))
            << "row " << r << " output " << i << ": " << got[at] << ", wanted " << want[at];
      }
    }
  }
}

/// A random call of a random layer of this shape; x_rows repeat and hit the zero row.
void check(const BlockKernel& kernel, const Case& c) {
  const LayerShape& shape = c.shape;
  Rng rng(c.seed, Purpose::Test);
  const PackedLayer layer = random_layer(shape, rng);
  EXPECT_EQ(layer.mode, shape.mode);
  AlignedBytes weights(kernel.packed_bytes(shape)), reference(kBlockReference.packed_bytes(shape));
  pack(kernel, shape, layer, weights, rng);
  kBlockReference.pack(shape, layer, 0, shape.panels(), reference.data());

  const int64_t x_rows = 2 + static_cast<int64_t>(rng.below(static_cast<uint64_t>(c.rows + 3)));
  const Activations a = random_activations(x_rows, shape.channels, shape.activations, rng);
  std::vector<int64_t> order(static_cast<size_t>(shape.taps));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  if (rng.below(3) == 0) order.resize(rng.below(order.size() + 1));
  std::vector<std::vector<int32_t>> rows_of_taps(order.size());
  Call call;
  for (size_t i = 0; i < order.size(); ++i) {
    for (int64_t r = 0; r < c.rows; ++r) {
      const bool zero = rng.below(8) == 0;
      rows_of_taps[i].push_back(
          static_cast<int32_t>(zero ? x_rows - 1 : static_cast<int64_t>(rng.below(static_cast<uint64_t>(x_rows)))));
    }
    call.taps.push_back({rows_of_taps[i].data(), order[i]});
  }
  call.first_panel = static_cast<int64_t>(rng.below(static_cast<uint64_t>(shape.panels())));
  if (rng.below(2) == 0) call.first_panel = 0;
  call.panels = shape.panels() - call.first_panel;
  if (rng.below(3) == 0) call.panels = static_cast<int64_t>(rng.below(static_cast<uint64_t>(call.panels + 1)));
  call.pitch = 16 * call.panels + static_cast<int64_t>(rng.below(2) * rng.below(20));

  check_results(kernel, c, a, unpack(layer), call, run(kernel, c, weights.data(), a, call),
                run(kBlockReference, c, reference.data(), a, call));
}

class BlockProductTest : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    if (!kernel().supported()) GTEST_SKIP() << kernel().name << " needs " << kernel().needs;
  }
  static const BlockKernel& kernel() { return *block_kernels()[GetParam()]; }

  void check(const Case& c) {
    SCOPED_TRACE(std::string(kernel().name) + ", " + describe(c));
    quant::check(kernel(), c);
  }
};

Case random_case(int bits, int activation_bits, bool is_signed, uint64_t seed) {
  Rng rng(seed, Purpose::Test, {1});
  Case c;
  c.seed = seed;
  c.shape.bits = bits;
  c.shape.mode = mode_at(one_of({Mode::SignedExtreme, Mode::SignedExtreme, Mode::PaperFloor}, rng), bits);
  c.shape.activations = {activation_bits, is_signed, 32};
  c.shape.channels = one_of<int64_t>({1, 3, 31, 32, 33, 64, 100, 160}, rng);
  c.shape.outputs = one_of<int64_t>({1, 16, 17, 32, 40, 64}, rng);
  c.shape.taps = one_of<int64_t>({1, 4, 9}, rng);
  c.rows = static_cast<int64_t>(rng.below(21));
  return c;
}

TEST_P(BlockProductTest, EveryPairOfFormats) {
  uint64_t seed = 1000;
  for (int bits = 1; bits <= 8; ++bits) {
    for (int activation_bits = 1; activation_bits <= 8; ++activation_bits) {
      for (const bool is_signed : {false, true}) {
        check(random_case(bits, activation_bits, is_signed, ++seed));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(BlockProductTest, EqualFormatsOfEveryMode) {
  uint64_t seed = 2000;
  for (int bits = 1; bits <= 8; ++bits) {
    for (const Mode mode : {Mode::SignedExtreme, Mode::Binary, Mode::PaperFloor}) {
      if (mode == Mode::Binary && bits != 1) continue;
      for (const bool is_signed : {false, true}) {
        for (int repeat = 0; repeat < 2; ++repeat) {
          Case c = random_case(bits, bits, is_signed, ++seed);
          c.shape.mode = mode_at(mode, bits);
          check(c);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST_P(BlockProductTest, EveryNumberOfRows) {
  uint64_t seed = 3000;
  for (const int bits : {1, 2, 4, 8}) {
    for (int64_t rows = 0; rows <= 24; ++rows) {
      Case c = random_case(bits, bits, rows % 2 == 0, ++seed);
      c.rows = rows;
      check(c);
      if (HasFatalFailure()) return;
    }
  }
  for (const int64_t rows : {31, 32, 33, 47, 48, 64, 65, 97, 130}) {
    const int bits = static_cast<int>(1 + rows % 8);
    Case c = random_case(bits, bits, false, ++seed);
    c.shape.channels = 64;
    c.shape.outputs = 32;
    c.rows = rows;
    check(c);
    if (HasFatalFailure()) return;
  }
}

/// A block with a NaN or an infinity shows in the rows that read it, and in no others.
TEST_P(BlockProductTest, BlocksThatAreNotFiniteShow) {
  for (const int bits : {1, 2, 4, 8}) {
    for (const bool is_signed : {false, true}) {
      const LayerShape shape{20, 40, 1, bits, mode_at(Mode::SignedExtreme, bits), {bits, is_signed, 32}};
      Rng rng(7, Purpose::Test);
      AlignedBytes weights(kernel().packed_bytes(shape)), mantissas(5 * 2 * 64);
      kernel().pack(shape, random_layer(shape, rng), 0, shape.panels(), weights.data());
      std::vector<float> x(5 * 64), steps(10), y(5 * 32);
      for (float& v : x) v = static_cast<float>(rng.uniform(0, 1));
      x[2 * 64 + 3] = std::numeric_limits<float>::quiet_NaN();
      x[4 * 64 + 33] = std::numeric_limits<float>::infinity();
      std::vector<int32_t> sums(10), rows = {0, 1, 2, 3, 4};
      const RowsOut to{kernel().form, shape.activations, 2, mantissas.data(), steps.data(), sums.data()};
      kPackRowsReference.pack(x.data(), 64, 5, 2, to, 0, 0);
      const Tap tap{rows.data(), 0};
      kernel().run(shape, weights.data(), to.view(), {{&tap, 1}, 5, 0, 2, y.data(), 32});
      for (size_t i = 0; i < y.size(); ++i) {
        if (i % 32 >= 20) continue;  // what stands behind the outputs does not matter
        ASSERT_EQ(std::isnan(y[i]), i / 32 == 2 || i / 32 == 4) << bits << " bits, number " << i;
      }
    }
  }
}

/// Who looks for what a kernel needs in the list of what the processor has finds it.
TEST(BlockKernels, NeedsAreSpelledAsTheFeaturesOfTheProcessor) {
  const std::string here = " " + cpu_feature_list() + " ";
  const auto check = [&](std::string_view name, std::string_view needs) {
    std::istringstream words{std::string(needs)};
    for (std::string word; words >> word;)
      EXPECT_NE(here.find(" " + word + " "), std::string::npos) << name << " needs " << word << ", not in" << here;
  };
  for (const BlockKernel* kernel : block_kernels())
    if (kernel->supported()) check(kernel->name, kernel->needs);
  for (const RowPacker& packer : row_packers())
    if (packer.supported()) check(packer.name, packer.needs);
}

INSTANTIATE_TEST_SUITE_P(Kernels, BlockProductTest, testing::Range(size_t{0}, block_kernels().size()),
                         [](const testing::TestParamInfo<size_t>& param) {
                           std::string name(block_kernels()[param.param]->name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace kronbit::quant
