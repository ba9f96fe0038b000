// Every kernel of the block-scaled product against the formula in double and, if it is exact, against the reference bit
// for bit: random layers, formats, sizes, taps, cuts into calls. One test per kernel of the table.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "quant/kernels/block_product.h"
#include "tensor/rng.h"
#include "tensor/tensor.h"

namespace kronbit::quant {
namespace {

constexpr size_t kGuard = 64;  // bytes behind an array that must stay as they were
constexpr float kUntouched = -12345.5f;

/// Bytes that start at a multiple of 64, followed by guard bytes.
class AlignedBytes {
 public:
  explicit AlignedBytes(int64_t bytes)
      : size_(static_cast<size_t>(bytes)), storage_(size_ + 64 + kGuard, std::byte{0xcd}) {}
  std::byte* data() {
    return reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(storage_.data()) + 63) / 64 * 64);
  }
  bool guard_is_whole() {
    return std::all_of(data() + size_, data() + size_ + kGuard, [](std::byte b) { return b == std::byte{0xcd}; });
  }
  bool same_as(AlignedBytes& other) {
    return size_ == other.size_ && (size_ == 0 || std::memcmp(data(), other.data(), size_) == 0);
  }

 private:
  size_t size_;
  std::vector<std::byte> storage_;
};

/// Numbers in blocks of many kinds; the extreme ones reach the ends of the integer ranges in every lane.
void fill_block(float* x, int64_t n, int64_t stride, Rng& rng) {
  const uint64_t kind = rng.below(8);
  const double scale = std::exp2(rng.uniform(-12, 12));
  for (int64_t i = 0; i < n; ++i) {
    double v = rng.normal();
    if (kind == 0) v = 0;
    if (kind == 1) v = 1.9999;
    if (kind == 2) v = -1.9999;
    if (kind == 3) v = rng.below(2) != 0 ? 1.9999 : -1.9999;
    if (kind == 4 && rng.below(4) != 0) v = 0;
    x[i * stride] = static_cast<float>(v * scale);
  }
}

/// Quantized activations in the three forms. The last row is zero.
struct Activations {
  ActivationFormat format;
  int64_t rows = 0, blocks = 0;
  std::vector<int> mantissas;  ///< [row][block][32]
  std::vector<float> steps;
  std::vector<int32_t> sums;

  int mantissa(int64_t row, int64_t block, int64_t lane) const {
    return mantissas[static_cast<size_t>((row * blocks + block) * 32 + lane)];
  }
};

Activations random_activations(int64_t rows, int64_t channels, const ActivationFormat& format, Rng& rng) {
  Tensor x = Tensor::activation(1, 1, rows, channels);
  for (int64_t row = 0; row < rows; ++row) {
    float* at = x.row<float>(row);
    for (int64_t c = 0; c < channels; c += 32) fill_block(at + c, std::min<int64_t>(32, channels - c), 1, rng);
    for (int64_t c = 0; c < channels; ++c) {
      if (!format.is_signed) at[c] = std::fabs(at[c]);
      if (row == rows - 1) at[c] = 0;
    }
  }
  const QuantizedActivations q = activation_mantissas(x, format);
  Activations a{format, rows, q.blocks, {}, {}, {}};
  a.mantissas.resize(static_cast<size_t>(rows * q.blocks * 32));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < channels; ++c)
      a.mantissas[static_cast<size_t>(row * q.blocks * 32 + c)] = q.mantissas[static_cast<size_t>(row * channels + c)];
    for (int64_t k = 0; k < q.blocks; ++k) {
      const int* first = a.mantissas.data() + (row * q.blocks + k) * 32;
      const bool zero = std::all_of(first, first + 32, [](int m) { return m == 0; });
      a.steps.push_back(zero ? 0.0f : std::ldexp(1.0f, q.exponents[static_cast<size_t>(row * q.blocks + k)]));
      a.sums.push_back(std::accumulate(first, first + 32, 0));
    }
  }
  return a;
}

/// The rows as a kernel of that form reads them; the memory is `bytes`.
RowsView view_of(const Activations& a, RowForm form, AlignedBytes& bytes) {
  const RowsView view{form, a.format, a.blocks, bytes.data(), a.steps.data(), a.sums.data()};
  for (int64_t i = 0; i < a.rows * a.blocks; ++i) {
    std::byte* block = bytes.data() + i * (view.row_bytes() / std::max<int64_t>(a.blocks, 1));
    uint32_t planes[8] = {};
    for (int lane = 0; lane < 32; ++lane) {
      const int m = a.mantissa(0, i, lane);
      if (form == RowForm::Bytes) block[lane] = static_cast<std::byte>(m);
      for (unsigned p = 0; p < 8; ++p) planes[p] |= (static_cast<unsigned>(m) >> p & 1u) << lane;
      const bf16 value(static_cast<float>(m) * a.steps[static_cast<size_t>(i)]);
      if (form == RowForm::Bf16) std::memcpy(block + 2 * lane, &value, 2);
    }
    if (form == RowForm::Planes) std::memcpy(block, planes, 4 * static_cast<size_t>(a.format.bits));
  }
  return view;
}

struct Case {
  LayerShape shape;
  int64_t rows = 0;
  uint64_t seed = 0;
};

std::string describe(const Case& c) {
  const LayerShape& s = c.shape;
  return "seed " + std::to_string(c.seed) + ": " + name_of(s.mode) + " weights of " + std::to_string(s.bits) +
         " bits, " + (s.activations.is_signed ? "signed" : "unsigned") + " activations of " +
         std::to_string(s.activations.bits) + ", channels " + std::to_string(s.channels) + ", outputs " +
         std::to_string(s.outputs) + ", taps " + std::to_string(s.taps) + ", rows " + std::to_string(c.rows);
}

PackedLayer random_layer(const LayerShape& s, Rng& rng) {
  const int64_t side = s.taps == 9 ? 3 : s.taps == 4 ? 2 : 1;
  Tensor w = Tensor::zeros({s.outputs, s.channels, side, side});
  float* data = w.data<float>();
  for (int64_t o = 0; o < s.outputs; ++o) {
    for (int64_t t = 0; t < s.taps; ++t) {
      for (int64_t c = 0; c < s.channels; c += 32)
        fill_block(data + (o * s.channels + c) * s.taps + t, std::min<int64_t>(32, s.channels - c), s.taps, rng);
    }
  }
  return pack_layer("layer", quantize_weights(w, s.bits, s.mode), MultiplierFormat::F32);
}

/// The sum and the sum of magnitudes of its terms, lane by lane, in double.
struct Sums {
  double sum = 0, magnitudes = 0;
};
Sums formula(const LayerShape& s, const QuantizedWeights& w, const Activations& a, std::span<const Tap> taps, int64_t r,
             int64_t o) {
  Sums sums;
  if (o >= s.outputs) return sums;
  for (const Tap& tap : taps) {
    for (int64_t c = 0; c < s.channels; ++c) {
      const int64_t position = o * s.taps + tap.tap, k = c / 32, row = tap.x_rows[r];
      const double term = static_cast<double>(w.multipliers[static_cast<size_t>(position * s.blocks() + k)]) *
                          static_cast<double>(a.steps[static_cast<size_t>(row * a.blocks + k)]) *
                          w.integers[static_cast<size_t>(position * s.channels + c)] * a.mantissa(row, k, c % 32);
      sums.sum += term;
      sums.magnitudes += std::fabs(term);
    }
  }
  return sums;
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

/// A random call of a random layer of this shape; x_rows repeat and hit the zero row. Returns whether the kernel
/// accepts the shape.
bool check(const BlockKernel& kernel, const Case& c) {
  const LayerShape& shape = c.shape;
  if (kernel.declines(shape) != nullptr) return false;
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
  return true;
}

class BlockProductTest : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    if (!kernel().supported()) GTEST_SKIP() << kernel().name << " needs " << kernel().needs;
  }
  static const BlockKernel& kernel() { return *block_kernels()[GetParam()]; }

  void check(const Case& c) {
    SCOPED_TRACE(std::string(kernel().name) + ", " + describe(c));
    accepted_ += quant::check(kernel(), c) ? 1 : 0;
    ++offered_;
  }
  void expect_some_accepted() const {
    RecordProperty("accepted", accepted_);
    EXPECT_GT(accepted_, 0) << kernel().name << " accepted none of " << offered_ << " shapes";
  }
  int accepted_ = 0, offered_ = 0;
};

template <class T>
T one_of(std::initializer_list<T> list, Rng& rng) {
  return *(list.begin() + rng.below(list.size()));
}

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
  expect_some_accepted();
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
  expect_some_accepted();
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
  expect_some_accepted();
}

INSTANTIATE_TEST_SUITE_P(Kernels, BlockProductTest, testing::Range(size_t{0}, block_kernels().size()),
                         [](const testing::TestParamInfo<size_t>& param) {
                           std::string name(block_kernels()[param.param]->name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace kronbit::quant
