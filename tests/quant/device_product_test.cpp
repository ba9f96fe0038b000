// Every kernel of a device against the processor's reference, bit for bit, or (bf16) against the formula in double:
// random convolutions, formats and sizes, on the simulated device in both orders of threads, and on a GPU where there
// is one.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "quant/engine/conv_rows.h"
#include "quant/kernels/cuda/device_product.h"
#include "tests/nn/device_tests.h"
#include "tests/quant/random_products.h"

namespace kronbit::quant {
namespace {

using nn::Bench, nn::Guarded, nn::on_devices;

std::string describe(const DeviceConv& c) {
  return describe(c.layer) + ", " + nn::describe(c.conv) + ", map " + std::to_string(c.height) + "x" +
         std::to_string(c.width) + ", images " + std::to_string(c.images) + ", tile " + std::to_string(c.tile);
}

/// A layer, its input, what the reference makes of them, and how far a kernel that is not exact may be off.
struct Problem {
  DeviceConv conv;
  PackedLayer layer;
  Activations x;         ///< a row of zeros behind the last one
  std::vector<float> y;  ///< [out_rows][32 * ceil(outputs / 32)]
  std::vector<double> sum, magnitudes;

  int64_t lanes() const { return 16 * conv.layer.panels(); }
  Problem(const DeviceConv& c, Rng& rng)
      : conv(c),
        layer(random_layer(c.layer, rng)),
        x(random_activations(c.in_rows() + 1, c.layer.channels, c.layer.activations, rng)),
        y(static_cast<size_t>(c.out_rows() * lanes())),
        sum(y.size()),
        magnitudes(y.size()) {
    AlignedBytes weights(kBlockReference.packed_bytes(c.layer)), bytes(64 * x.rows * x.blocks);
    kBlockReference.pack(c.layer, layer, 0, c.layer.panels(), weights.data());
    const RowsView view = view_of(x, RowForm::Bytes, bytes);
    const QuantizedWeights integers = unpack(layer);
    for (const RowGroup& group : row_groups(c.conv, c.height, c.width, c.images, Border::Grouped)) {
      std::vector<Tap> taps;
      for (const RowGroup::TapRows& tap : group.taps) taps.push_back({tap.x_rows.data(), tap.tap});
      const auto rows = static_cast<int64_t>(group.rows.size());
      std::vector<float> part(static_cast<size_t>(rows * lanes()));
      kBlockReference.run(c.layer, weights.data(), view, {taps, rows, 0, c.layer.panels(), part.data(), lanes()});
      for (int64_t i = 0; i < rows * lanes(); ++i) {
        const auto to = static_cast<size_t>(group.rows[static_cast<size_t>(i / lanes())] * lanes() + i % lanes());
        const Sums sums = formula(c.layer, integers, x, taps, i / lanes(), i % lanes());
        y[to] = part[static_cast<size_t>(i)];
        sum[to] = sums.sum;
        magnitudes[to] = sums.magnitudes;
      }
    }
  }
};

/// What a kernel writes, the numbers between its rows included.
std::vector<float> run(const DeviceKernel& kernel, const Problem& p, const Bench& bench, int64_t pitch) {
  AlignedBytes weights(kernel.packed_bytes(p.conv.layer)), bytes(64 * p.x.rows * p.x.blocks);
  kernel.pack(p.conv.layer, p.layer, weights.data());
  EXPECT_TRUE(weights.guard_is_whole());
  const RowsView view = view_of(p.x, kernel.form, bytes);
  // The row of zeros stays behind: nothing may read it.
  const int64_t rows = p.conv.in_rows(), blocks = rows * p.x.blocks;
  DeviceArray<std::byte> on_device(bench.device, weights.data(), kernel.packed_bytes(p.conv.layer));
  DeviceArray<std::byte> mantissas(bench.device, bytes.data(), rows * view.row_bytes());
  DeviceArray<float> steps(bench.device, p.x.steps.data(), blocks);
  DeviceArray<int32_t> sums(bench.device, p.x.sums.data(), blocks);
  Guarded<float> y(bench.device, p.conv.out_rows() * pitch);
  kernel.run(p.conv, on_device.data(),
             {kernel.form, p.x.format, p.x.blocks, mantissas.data(), steps.data(), sums.data()}, y.data(), pitch,
             bench.queue);
  bench.device.synchronize();
  return y.values();
}

void check(const DeviceKernel& kernel, const Problem& p, const Bench& bench, int64_t pitch) {
  SCOPED_TRACE(std::string(kernel.name) + ", " + describe(p.conv));
  const std::vector<float> got = run(kernel, p, bench, pitch);
  const double bound = kernel.family == "bf16-split" ? 1e-5 : 4e-3;
  for (int64_t i = 0; i < std::ssize(got); ++i) {
    const int64_t r = i / pitch, o = i % pitch;
    const float value = got[static_cast<size_t>(i)];
    if (o >= p.lanes()) {
      ASSERT_EQ(std::bit_cast<uint32_t>(value), 0xa5a5a5a5u) << "row " << r << " behind the outputs";
      continue;
    }
    const auto at = static_cast<size_t>(r * p.lanes() + o);
    if (kernel.exact) {
      ASSERT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(p.y[at]))
          << "row " << r << " output " << o << ": " << value << ", wanted " << p.y[at];
    } else {
      ASSERT_NEAR(value, p.sum[at], bound * p.magnitudes[at]) << "row " << r << " output " << o;
    }
  }
}

/// Kernels of both lists, by name: those of the GPU are the same.
std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const DeviceKernel* kernel : device_kernels(*open_simulated_device()).products) all.emplace_back(kernel->name);
  return all;
}

class DeviceProduct : public testing::TestWithParam<std::string> {
 protected:
  static const DeviceKernel& kernel_of(const Device& device) {
    for (const DeviceKernel* kernel : device_kernels(device).products)
      if (kernel->name == GetParam()) return *kernel;
    throw InternalError("no such kernel");
  }
  void check(const DeviceConv& conv, uint64_t seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed, Purpose::Test);
    const Problem problem(conv, rng);
    const int64_t pitch = problem.lanes() + 4 * static_cast<int64_t>(rng.below(3));
    on_devices([&](const Bench& bench) {
      const DeviceKernel& kernel = kernel_of(bench.device);
      ASSERT_EQ(kernel.declines(conv), nullptr);
      quant::check(kernel, problem, bench, pitch);
    });
  }
};

DeviceConv conv_of(int64_t side, int64_t stride, int64_t pad, int64_t height, int64_t width, int64_t images,
                   int64_t channels, int64_t outputs, int bits, const ActivationFormat& format) {
  DeviceConv c;
  c.layer = {outputs, channels, side * side, bits, mode_at(Mode::SignedExtreme, bits), format};
  c.conv = {channels, outputs, side, side, stride, pad};
  c.height = height, c.width = width, c.images = images;
  return c;
}

TEST_P(DeviceProduct, EveryPairOfFormats) {
  uint64_t seed = 4000;
  for (int bits = 1; bits <= 8; ++bits) {
    for (int activation_bits = 1; activation_bits <= 8; ++activation_bits) {
      for (const bool is_signed : {false, true}) {
        DeviceConv c = conv_of(1, 1, 0, 1, 1, 3, seed % 3 == 0 ? 40 : 20, 5, bits, {activation_bits, is_signed, 32});
        if (bits == 1 || seed % 4 == 0)
          c.layer.mode = seed % 2 == 0 ? Mode::PaperFloor : mode_at(Mode::SignedExtreme, bits);
        check(c, ++seed);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(DeviceProduct, EveryGeometry) {
  uint64_t seed = 5000;
  for (const int64_t side : {1, 2, 3}) {
    for (const int64_t stride : {1, 2}) {
      for (const int64_t pad : {0, 1}) {
        for (int repeat = 0; repeat < 2; ++repeat) {
          Rng rng(++seed, Purpose::Test, {1});
          const auto small = static_cast<int64_t>(3 + rng.below(2));
          const int64_t images = one_of<int64_t>({1, 2, 5, 11}, rng);
          const int bits = 1 + static_cast<int>(rng.below(8));
          check(conv_of(side, stride, pad, small, 3, images, one_of<int64_t>({1, 31, 33, 64, 70}, rng),
                        one_of<int64_t>({1, 17, 40, 70}, rng), bits,
                        {1 + static_cast<int>(rng.below(8)), rng.below(2) != 0, 32}),
                seed);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST_P(DeviceProduct, EveryNumberOfImages) {
  uint64_t seed = 6000;
  for (const int64_t images : {0, 1, 16, 31, 33, 70}) {
    check(conv_of(2, 1, 1, 1, 2, images, 33, 20 + images, 3, {3, false, 32}), ++seed);
    if (HasFatalFailure()) return;
  }
}

TEST_P(DeviceProduct, FewRows) {
  uint64_t seed = 6500;
  for (const int bits : {1, 3, 4, 7, 8}) {
    for (const int64_t side : {1, 2}) {
      check(conv_of(3, 1, 1, side, side, 1, 33 + 8 * bits, 3 + 4 * bits, bits, {bits, side == 2, 32}), ++seed);
      if (HasFatalFailure()) return;
    }
  }
}

/// Tile by tile: large ones, which a GPU takes only where there are many, are too rare for tests of this size.
TEST_P(DeviceProduct, ManyTilesAndLongSums) {
  const int tiles = kernel_of(*open_simulated_device()).tiles;
  for (int tile = 0; tile <= tiles; ++tile) {
    uint64_t seed = 7000;
    for (DeviceConv conv :
         {conv_of(1, 1, 0, 5, 7, 10, 32, 130, 4, {4, false, 32}), conv_of(3, 1, 1, 2, 2, 3, 200, 33, 8, {8, true, 32}),
          conv_of(5, 2, 2, 6, 4, 2, 32, 32, 2, {5, true, 32})}) {
      conv.tile = tile;
      check(conv, ++seed);
      if (HasFatalFailure()) return;
    }
  }
}

/// The step of such a block is NaN (bf16: the numbers are), which the outputs that read it show, and no others.
TEST_P(DeviceProduct, BlocksThatAreNotFiniteShow) {
  const DeviceConv conv = conv_of(3, 1, 1, 4, 4, 2, 40, 10, 4, {4, false, 32});
  Rng rng(9000, Purpose::Test);
  Problem problem(conv, rng);
  constexpr int64_t kRow = 1;  // image 1 of the pixel in the corner: read by four pixels of image 1
  problem.x.steps[kRow * problem.x.blocks] = std::numeric_limits<float>::quiet_NaN();
  on_devices([&](const Bench& bench) {
    const std::vector<float> y = run(kernel_of(bench.device), problem, bench, problem.lanes());
    for (int64_t r = 0; r < conv.out_rows(); ++r) {
      const int64_t pixel = r / 2;
      const bool reads = r % 2 == 1 && pixel / 4 < 2 && pixel % 4 < 2;
      for (int64_t o = 0; o < conv.layer.outputs; ++o)
        ASSERT_EQ(std::isnan(y[static_cast<size_t>(r * problem.lanes() + o)]), reads) << "row " << r << " output " << o;
    }
  });
}

TEST_P(DeviceProduct, SaysWhatItDeclines) {
  on_devices([&](const Bench& bench) {
    const DeviceKernel& kernel = kernel_of(bench.device);
    EXPECT_EQ(kernel.declines(conv_of(8, 1, 0, 9, 9, 1, 1, 1, 4, {4, false, 32})), nullptr);
    EXPECT_STREQ(kernel.declines(conv_of(9, 1, 0, 9, 9, 1, 1, 1, 4, {4, false, 32})), "a kernel of more than 64 taps");
  });
}

INSTANTIATE_TEST_SUITE_P(Kernels, DeviceProduct, testing::ValuesIn(names()),
                         [](const testing::TestParamInfo<std::string>& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace kronbit::quant
