// Bit-serial products for AVX-512: 16 outputs are the 16 lanes, so that a word of an input and its step are broadcasts
// and the multipliers one load.
//
// One plane product is three instructions for 512 multiply-adds: AND, VPOPCNTW (bits in every 16), VPDPWSSD (both
// halves times their coefficient, added to the dot product). The dot product starts at the sum of the mantissas, for
// binary weights, or at 0; a conversion, a multiplication and a multiply-add put it into y. With one plane on either
// side that is 6 vector instructions: 341 multiply-adds per cycle where four can start at once, 171 where two can.
#include <immintrin.h>

#include "quant/kernels/bitserial/planes.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false for the intrinsics of GCC 12 (its bug 105593)
#pragma GCC target("avx512f,avx512bw,avx512vnni,avx512bitalg")

namespace kronbit::quant {
namespace {

struct Layer {
  bitserial::PlaneProducts products;
  int64_t blocks = 0, block_bytes = 0, panel_bytes = 0;
  RowsView x;

  const int32_t* words(int64_t block) const {
    return reinterpret_cast<const int32_t*>(x.mantissas) + block * products.inputs;
  }
  __m512i start_of_dot(int64_t block) const {
    return products.add_sums ? _mm512_set1_epi32(x.sums[block]) : _mm512_setzero_si512();
  }
};

/// dot + c * the bits set in both.
__m512i add_product(__m512i dot, __m512i plane, int32_t word, int32_t c) {
  const __m512i both = _mm512_and_si512(plane, _mm512_set1_epi32(word));
  return _mm512_dpwssd_epi32(dot, _mm512_popcnt_epi16(both), _mm512_set1_epi32(c));
}

__m512 add_scaled(__m512 y, __m512i dot, const std::byte* multipliers, float step) {
  const __m512 scale = _mm512_mul_ps(_mm512_load_ps(multipliers), _mm512_set1_ps(step));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, y);
}

/// Adds one block of all rows and panels of a tile, for a number of planes known here: one dot product after the other,
/// the planes of the weights in registers. Requires: row r reads block blocks[r] + k of x
template <int Weights, int Inputs>
struct FewPlanes {
  template <int R, int V>
  static void add_block(const Layer& layer, const std::byte* w, const int64_t (&blocks)[R], int64_t k,
                        __m512 (&y)[R][V]) {
    const int32_t* c = layer.products.coefficients;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const int32_t* words = reinterpret_cast<const int32_t*>(layer.x.mantissas) + (blocks[r] + k) * Inputs;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const std::byte* wv = w + v * layer.panel_bytes;
        // Of the layers with so few planes, those with one plane of weights are binary.
        __m512i dot = Weights == 1 ? _mm512_set1_epi32(layer.x.sums[blocks[r] + k]) : _mm512_setzero_si512();
#pragma GCC unroll 4
        for (int i = 0; i < Weights; ++i) {
#pragma GCC unroll 4
          for (int j = 0; j < Inputs; ++j)
            dot = add_product(dot, _mm512_load_si512(wv + 64 * i), words[j], c[i * Inputs + j]);
        }
        y[r][v] = add_scaled(y[r][v], dot, wv + 64 * Weights, layer.x.steps[blocks[r] + k]);
      }
    }
  }
};

/// The same for any number: plane by plane, all dot products in registers.
struct AnyPlanes {
  template <int R, int V>
  static void add_block(const Layer& layer, const std::byte* w, const int64_t (&blocks)[R], int64_t k,
                        __m512 (&y)[R][V]) {
    const int32_t* coefficient = layer.products.coefficients;
    __m512i dot[R][V];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) dot[r][v] = layer.start_of_dot(blocks[r] + k);
    }
    for (int i = 0; i < layer.products.weights; ++i, w += 64) {
      for (int j = 0; j < layer.products.inputs; ++j, ++coefficient) {
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          const int32_t word = layer.words(blocks[r] + k)[j];
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v)
            dot[r][v] = add_product(dot[r][v], _mm512_load_si512(w + v * layer.panel_bytes), word, *coefficient);
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        y[r][v] = add_scaled(y[r][v], dot[r][v], w + v * layer.panel_bytes, layer.x.steps[blocks[r] + k]);
    }
  }
};

/// R rows by V panels stay in registers over all taps and blocks. What is broadcast serves all panels.
template <int R, int V, class Planes>
void tile(const Layer& layer, const std::byte* weights, const ProductSpec& spec, int64_t row, int64_t panel) {
  weights += (spec.first_panel + panel) * layer.panel_bytes;
  __m512 y[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) y[r][v] = _mm512_setzero_ps();
  }
  for (const Tap& tap : spec.taps) {
    int64_t blocks[R];  // the first ones of the rows
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) blocks[r] = tap.x_rows[row + r] * layer.blocks;
    const std::byte* w = weights + tap.tap * layer.blocks * layer.block_bytes;
    for (int64_t k = 0; k < layer.blocks; ++k, w += layer.block_bytes) Planes::add_block(layer, w, blocks, k, y);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) _mm512_storeu_ps(spec.y + (row + r) * spec.pitch + 16 * (panel + v), y[r][v]);
  }
}

/// As many panels as there are, V at a time, from `panel` on, which is moved.
template <int R, int V, class Planes>
void all_tiles(const Layer& layer, const std::byte* weights, const ProductSpec& spec, int64_t& panel) {
  for (; panel + V <= spec.panels; panel += V) {
    int64_t r = 0;
    for (; r + R <= spec.rows; r += R) tile<R, V, Planes>(layer, weights, spec, r, panel);
    if constexpr (R > 4) {
      for (; r + 4 <= spec.rows; r += 4) tile<4, V, Planes>(layer, weights, spec, r, panel);
    }
    for (; r < spec.rows; ++r) tile<1, V, Planes>(layer, weights, spec, r, panel);
  }
}

/// 16 sums at a time cover the latency of what adds to one. The weights of four panels stay in registers only when they
/// are one plane.
template <int Weights, int Inputs>
void few_planes(const Layer& layer, const std::byte* weights, const ProductSpec& spec, int64_t& panel) {
  if constexpr (Weights == 1) all_tiles<4, 4, FewPlanes<Weights, Inputs>>(layer, weights, spec, panel);
  all_tiles<8, 2, FewPlanes<Weights, Inputs>>(layer, weights, spec, panel);
}

void run(const LayerShape& shape, const std::byte* weights, const RowsView& x, const ProductSpec& spec) {
  const int64_t blocks = shape.blocks(), block_bytes = bitserial::packed_block_bytes(shape.bits);
  const Layer layer{bitserial::plane_products(shape, x.format), blocks, block_bytes, shape.taps * blocks * block_bytes,
                    x};
  const bitserial::PlaneProducts& p = layer.products;
  const auto is = [&](int w, int i) { return p.weights == w && p.inputs == i && p.add_sums == (w == 1); };
  int64_t panel = 0;
  if (is(1, 1)) few_planes<1, 1>(layer, weights, spec, panel);
  if (is(1, 2)) few_planes<1, 2>(layer, weights, spec, panel);
  if (is(1, 3)) few_planes<1, 3>(layer, weights, spec, panel);
  if (is(1, 4)) few_planes<1, 4>(layer, weights, spec, panel);
  if (is(2, 1)) few_planes<2, 1>(layer, weights, spec, panel);
  if (is(2, 2)) few_planes<2, 2>(layer, weights, spec, panel);
  all_tiles<4, 2, AnyPlanes>(layer, weights, spec, panel);  // what is left: all panels, or an odd one
  all_tiles<4, 1, AnyPlanes>(layer, weights, spec, panel);
}

}  // namespace
}  // namespace kronbit::quant

#pragma GCC pop_options

namespace kronbit::quant {

const BlockKernel kBitserialAvx512{
    .name = "bitserial-avx512",
    .family = "bitserial",
    .needs = "avx512bw avx512-vnni avx512-bitalg",
    .supported = [] { return cpu().avx512bw && cpu().avx512_vnni && cpu().avx512_bitalg; },
    .exact = true,
    .form = RowForm::Planes,
    .packed_bytes = bitserial::packed_bytes,
    .pack = bitserial::pack,
    .run = run};

}  // namespace kronbit::quant
