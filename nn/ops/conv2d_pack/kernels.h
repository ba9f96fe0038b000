// Kernels of the packing of weights: a plain reference and one source for all instruction sets. Private to conv2d_pack.
#pragma once

#include <span>
#include <string_view>

#include "tensor/tensor.h"

namespace kronbit::nn {

/// One panel: what becomes its columns (at most 32) and its rows.
struct PackSource {
  const float* w;  ///< number of column j, row r and tap t at w[j * column_stride + r * row_stride + t]
  int64_t column_stride, row_stride;
  int64_t columns, rows, taps;
};
/// Formula:  to[t * tap_stride + (r / 2) * 64 + 2 j + r mod 2] = number (j, r, t), rounded half to even; 0 for
///           j >= columns and r >= rows
/// Shapes:   all taps, pairs of rows r / 2 in [begin, end), j in [0, 32)
/// Runs on the calling thread.
/// Exactness: all variants bit-identical
using PackPanel = void (*)(const PackSource& from, int64_t begin, int64_t end, bf16* to, int64_t tap_stride);

struct PackKernel {
  std::string_view name;   ///< "avx512"
  std::string_view needs;  ///< CPU features, for people
  bool (*supported)();
  PackPanel run;
};
std::span<const PackKernel> pack_kernels();  ///< best first, the reference last
const PackKernel& best_pack_kernel();        ///< the first supported one

extern const PackKernel kPackAvx512, kPackAvx2, kPackBaseline, kPackReference;

void pack_panel_reference(const PackSource& from, int64_t begin, int64_t end, bf16* to, int64_t tap_stride);

}  // namespace kronbit::nn
