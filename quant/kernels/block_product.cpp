#include "quant/kernels/block_product.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <vector>

#include "quant/kernels/pack_blocks.h"
#include "tensor/base/error.h"
#include "tensor/io/text.h"

namespace kronbit::quant {
namespace {

int64_t reference_integers(const LayerShape& shape) { return shape.panels() * shape.taps * shape.blocks() * 16 * 32; }

int64_t reference_bytes(const LayerShape& shape) {
  return reference_integers(shape) + shape.panels() * shape.taps * shape.blocks() * 16 * 4;
}

void reference_pack(const LayerShape& shape, const PackedLayer& layer, int64_t first_panel, int64_t panels,
                    std::byte* to) {
  std::byte* multipliers = to + reference_integers(shape);
  clear_panels(shape, reference_integers(shape), first_panel, panels, to);
  clear_panels(shape, reference_integers(shape) / 8, first_panel, panels, multipliers);
  for_each_block(shape, layer, first_panel, panels,
                 [&](int64_t at, int64_t o, const uint8_t* planes, int64_t lanes, float multiplier) {
                   const auto integers = integers_of(layer, planes, lanes);
                   std::memcpy(to + 32 * (16 * at + o), integers.data(), 32);
                   std::memcpy(multipliers + 4 * (16 * at + o), &multiplier, 4);
                 });
}

int mantissa(const RowsView& x, int64_t row, int64_t block, int lane) {
  const std::byte* at = x.mantissas + row * x.row_bytes() + 32 * block + lane;
  return x.format.is_signed ? static_cast<int>(*reinterpret_cast<const int8_t*>(at)) : static_cast<int>(*at);
}

void reference_run(const LayerShape& shape, const std::byte* weights, const RowsView& x, const ProductSpec& spec) {
  const auto* integers = reinterpret_cast<const int8_t*>(weights);
  const auto* multipliers = reinterpret_cast<const float*>(weights + reference_integers(shape));
  for (int64_t r = 0; r < spec.rows; ++r) {
    for (int64_t i = 0; i < 16 * spec.panels; ++i) {
      const int64_t o = 16 * spec.first_panel + i;
      float sum = 0;
      for (const Tap& tap : spec.taps) {
        const int64_t row = tap.x_rows[r];
        for (int64_t k = 0; k < shape.blocks(); ++k) {
          const int64_t at = ((o / 16 * shape.taps + tap.tap) * shape.blocks() + k) * 16 + o % 16;
          int32_t dot = 0;
          for (int lane = 0; lane < 32; ++lane) dot += integers[32 * at + lane] * mantissa(x, row, k, lane);
          sum = std::fma(static_cast<float>(dot), multipliers[at] * x.steps[row * x.blocks + k], sum);
        }
      }
      spec.y[r * spec.pitch + i] = sum;
    }
  }
}

}  // namespace

const BlockKernel kBlockReference{.name = "reference",
                                  .family = "reference",
                                  .needs = "",
                                  .supported = [] { return true; },
                                  .exact = true,
                                  .form = RowForm::Bytes,
                                  .packed_bytes = reference_bytes,
                                  .pack = reference_pack,
                                  .run = reference_run};

std::span<const BlockKernel* const> block_kernels() {
  static const std::array list = {&kBf16Amx,        &kBf16Avx512,      &kBf16SplitAmx,  &kBf16SplitAvx512,
                                  &kInt8Avx512Vnni, &kInt8AvxVnni,     &kInt8Avx2,      &kPackedAvx512Vnni,
                                  &kPackedAvx2,     &kBitserialAvx512, &kBitserialAvx2, &kBitserialScalar,
                                  &kBlockReference};
  return list;
}

const BlockKernel& find_block_kernel(std::string_view name) {
  std::string names;
  for (const BlockKernel* kernel : block_kernels()) {
    if (kernel->name == name) return *kernel;
    names += (names.empty() ? "" : ", ") + std::string(kernel->name);
  }
  input_error("kernel", "wanted one of {}, got {}", names, quote(name));
}

}  // namespace kronbit::quant
