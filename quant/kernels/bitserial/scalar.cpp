// Bit-serial products in plain C++: the sum of planes.h with nothing added. The 16 outputs of a panel are counted side
// by side, with shifts and additions, which every compiler turns into whatever vectors the target has; a popcount
// instruction, where there is one, takes them one by one and gains nothing.
#include <cmath>

#include "quant/kernels/bitserial/planes.h"

namespace kronbit::quant {
namespace {

/// The number of set bits: of every two bits, every four, every eight, and of all.
uint32_t count_bits(uint32_t x) {
  x -= x >> 1 & 0x55555555;
  x = (x & 0x33333333) + (x >> 2 & 0x33333333);
  x = (x + (x >> 4)) & 0x0f0f0f0f;
  x += x >> 8;
  return (x + (x >> 16)) & 0x3f;
}

void run(const LayerShape& shape, const std::byte* weights, const RowsView& x, const ProductSpec& spec) {
  const bitserial::PlaneProducts products = bitserial::plane_products(shape, x.format);
  const int64_t blocks = shape.blocks(), panel_words = shape.taps * blocks * 16 * (shape.bits + 1);
  const auto* inputs = reinterpret_cast<const uint32_t*>(x.mantissas);
  for (int64_t panel = 0; panel < spec.panels; ++panel) {
    const auto* panel_weights = reinterpret_cast<const uint32_t*>(weights) + (spec.first_panel + panel) * panel_words;
    for (int64_t r = 0; r < spec.rows; ++r) {
      float y[16] = {};
      for (const Tap& tap : spec.taps) {
        const uint32_t* w = panel_weights + tap.tap * blocks * 16 * (shape.bits + 1);
        for (int64_t k = 0; k < blocks; ++k) {
          const int64_t block = tap.x_rows[r] * blocks + k;
          int32_t dot[16];
          for (int32_t& d : dot) d = products.add_sums ? x.sums[block] : 0;
          for (int i = 0; i < products.weights; ++i, w += 16) {
            for (int j = 0; j < products.inputs; ++j) {
              const uint32_t word = inputs[block * products.inputs + j];
              const auto c = static_cast<int16_t>(products.coefficients[i * products.inputs + j]);
              for (int o = 0; o < 16; ++o) dot[o] += c * static_cast<int32_t>(count_bits(w[o] & word));
            }
          }
          const auto* multipliers = reinterpret_cast<const float*>(w);
          w += 16;
          for (int o = 0; o < 16; ++o)
            y[o] = std::fma(static_cast<float>(dot[o]), multipliers[o] * x.steps[block], y[o]);
        }
      }
      for (int o = 0; o < 16; ++o) spec.y[r * spec.pitch + 16 * panel + o] = y[o];
    }
  }
}

}  // namespace

const BlockKernel kBitserialScalar{.name = "bitserial-scalar",
                                   .family = "bitserial",
                                   .needs = "",
                                   .supported = [] { return true; },
                                   .exact = true,
                                   .form = RowForm::Planes,
                                   .packed_bytes = bitserial::packed_bytes,
                                   .pack = bitserial::pack,
                                   .run = run};

}  // namespace kronbit::quant
