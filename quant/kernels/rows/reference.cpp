// The row packer as its formula is written, one number at a time, in double.
#include <bit>
#include <cmath>
#include <limits>

#include "quant/kernels/activations/kernels.h"
#include "quant/kernels/rows/kernels.h"

namespace kronbit::quant {
namespace {

constexpr int kLanes = 32;

void store_bytes(const int (&mantissas)[kLanes], const RowsOut& to, int64_t index) {
  for (int i = 0; i < kLanes; ++i) to.mantissas[kLanes * index + i] = static_cast<std::byte>(mantissas[i]);
}

void store_planes(const int (&mantissas)[kLanes], const RowsOut& to, int64_t index) {
  for (int p = 0; p < to.format.bits; ++p) {
    uint32_t word = 0;
    for (int i = 0; i < kLanes; ++i) word |= (static_cast<uint32_t>(mantissas[i]) >> p & 1) << i;
    std::memcpy(to.mantissas + 4 * (to.format.bits * index + p), &word, 4);
  }
}

void store_bf16(const int (&mantissas)[kLanes], float step, const RowsOut& to, int64_t index) {
  for (int i = 0; i < kLanes; ++i) {
    const bf16 value(static_cast<float>(mantissas[i]) * step);
    std::memcpy(to.mantissas + 2 * (kLanes * index + i), &value, 2);
  }
}

void pack(const float* x, int64_t pitch, int64_t rows, int64_t blocks, const RowsOut& to, int64_t first_row,
          int64_t first_block) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t k = 0; k < blocks; ++k)
      pack_block_reference(x + r * pitch + kLanes * k, to, (first_row + r) * to.blocks + first_block + k);
}

}  // namespace

void pack_block_reference(const float* x, const RowsOut& to, int64_t index) {
  const ActivationStep found = activation_step(x, kLanes, to.format);
  const bool finite =
      found.kind != ActivationStep::Infinite && std::none_of(x, x + kLanes, [](float v) { return std::isnan(v); });
  int mantissas[kLanes] = {}, sum = 0;
  float step = 0;
  if (!finite) {
    step = std::numeric_limits<float>::quiet_NaN();
  } else if (found.kind != ActivationStep::Zero) {
    step = std::ldexp(1.0f, found.exponent);
    for (int i = 0; i < kLanes; ++i) {
      const double m = std::nearbyint(std::ldexp(static_cast<double>(x[i]), -found.exponent));
      mantissas[i] = static_cast<int>(std::clamp<double>(m, to.format.lowest(), to.format.highest()));
      sum += mantissas[i];
    }
  }
  if (to.form == RowForm::Bf16) return store_bf16(mantissas, step, to, index);
  if (to.form == RowForm::Bytes) store_bytes(mantissas, to, index);
  if (to.form == RowForm::Planes) store_planes(mantissas, to, index);
  to.steps[index] = step;
  to.sums[index] = sum;
}

const RowPacker kPackRowsReference = {"reference", "", [] { return true; }, pack};

}  // namespace kronbit::quant
