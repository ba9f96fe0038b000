// Rows packed on a device: the same bytes as the processor's reference, on the simulated device in both orders of
// threads, and on a GPU where there is one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "quant/kernels/cuda/device_product.h"
#include "tests/nn/device_tests.h"
#include "tests/quant/random_rows.h"

namespace kronbit::quant {
namespace {

using nn::Bench, nn::Guarded, nn::on_devices;

/// Packs the rows on both; `got` and `want` are then the same, guards included.
void expect_same_bytes(const Bench& bench, const std::vector<float>& x, int64_t pitch, Packed& want,
                       const std::string& what) {
  Packed got(want.to.form, want.to.format, want.rows, want.to.blocks);
  const int64_t count = want.rows * want.to.blocks, bytes = want.rows * want.to.view().row_bytes();
  const bool integers = want.to.form != RowForm::Bf16;
  kPackRowsReference.pack(x.data(), pitch, want.rows, want.to.blocks, want.to, 0, 0);
  Guarded<float> from(bench.device, x), steps(bench.device, integers ? count : 0);
  Guarded<std::byte> mantissas(bench.device, bytes);
  Guarded<int32_t> sums(bench.device, integers ? count : 0);
  const DeviceRows to{want.to.form, want.to.format, want.to.blocks, mantissas.data(), steps.data(), sums.data()};
  device_kernels(bench.device).pack_rows(from.data(), pitch, want.rows, to, bench.queue);
  bench.device.synchronize();
  std::ranges::copy(mantissas.values(), got.to.mantissas);
  if (integers) {
    std::ranges::copy(steps.values(), got.to.steps);
    std::ranges::copy(sums.values(), got.to.sums);
  }
  got.expect_same(want, what);
}

TEST(DeviceRows, AreTheBytesOfTheReference) {
  on_devices([](const Bench& bench) {
    for (uint64_t seed = 0; seed < 150; ++seed) {
      Rng rng(84, Purpose::Test, {seed});
      const RowForm form = kForms[rng.below(3)];
      const ActivationFormat format{1 + static_cast<int>(rng.below(8)), rng.below(2) != 0, 32};
      const auto blocks = static_cast<int64_t>(rng.below(6)), rows = static_cast<int64_t>(rng.below(40));
      const int64_t pitch = 32 * blocks + static_cast<int64_t>(rng.below(3) == 0 ? rng.below(40) : 0);
      std::vector<float> x(static_cast<size_t>(rows * pitch), kNaN);  // between the rows: must not matter
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t k = 0; k < blocks; ++k) fill_rows_block(x.data() + r * pitch + 32 * k, rng, seed % 4 < 2);
      if (!format.is_signed && seed % 8 < 6)
        for (float& v : x) v = std::fabs(v);
      Packed want(form, format, rows, blocks);
      expect_same_bytes(bench, x, pitch, want, fmt::format("seed {}, {}", seed, text_of(form, format, rows, blocks)));
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

/// Every tie and every saturation of every format, near a power of two and at it.
TEST(DeviceRows, RoundHalfToEvenEverywhere) {
  on_devices([](const Bench& bench) {
    for (RowForm form : kForms) {
      for (int bits = 1; bits <= 8; ++bits) {
        for (bool is_signed : {true, false}) {
          const std::vector<float> x = every_tie(bits, is_signed);
          const ActivationFormat format{bits, is_signed, 32};
          const auto blocks = static_cast<int64_t>(x.size() / 32);
          Packed want(form, format, 1, blocks);
          expect_same_bytes(bench, x, 32 * blocks, want, text_of(form, format, 1, blocks));
          if (testing::Test::HasFatalFailure()) return;
        }
      }
    }
  });
}

}  // namespace
}  // namespace kronbit::quant
