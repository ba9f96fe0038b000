// Bit-serial products for AVX2, which has no instruction that counts bits: VPSHUFB looks up 32 nibbles at once in a
// table of their bits. 16 outputs are the lanes of two vectors, as in avx512.cpp.
//
// One plane product of 8 outputs: for the low and the high nibble of every byte an AND and a lookup, their sum, then
// VPMADDUBSW (bytes to pairs), VPMADDWD (times the coefficient, pairs to the whole) and an addition: 8 instructions for
// 256 multiply-adds, and half of one that shifts the word of the input for both vectors. Scaling takes 3 more.
#include <immintrin.h>

#include "quant/kernels/bitserial/planes.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma")

namespace kronbit::quant {
namespace {

struct Layer {
  bitserial::PlaneProducts products;
  int64_t blocks = 0, block_bytes = 0, panel_bytes = 0;
  RowsView x;
};

/// The set bits of every byte whose nibbles are given.
__m256i count_bits(__m256i low, __m256i high) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                         0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  return _mm256_add_epi8(_mm256_shuffle_epi8(table, low), _mm256_shuffle_epi8(table, high));
}

/// R rows by one panel stay in registers over all taps and blocks. OnePlane: one plane on either side.
template <int R, bool OnePlane>
void tile(const Layer& layer, const std::byte* weights, const ProductSpec& spec, int64_t row, int64_t panel) {
  const int planes = OnePlane ? 1 : layer.products.weights, inputs = OnePlane ? 1 : layer.products.inputs;
  const bool add_sums = layer.products.add_sums;
  const __m256i nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi8(1);
  weights += (spec.first_panel + panel) * layer.panel_bytes;
  __m256 y[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) y[r][0] = y[r][1] = _mm256_setzero_ps();
  for (const Tap& tap : spec.taps) {
    int64_t start[R];  // of the rows, in blocks
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) start[r] = tap.x_rows[row + r] * layer.blocks;
    const std::byte* w = weights + tap.tap * layer.blocks * layer.block_bytes;
    for (int64_t k = 0; k < layer.blocks; ++k, w += layer.block_bytes) {
      __m256i dot[R][2];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        dot[r][0] = dot[r][1] = add_sums ? _mm256_set1_epi32(layer.x.sums[start[r] + k]) : _mm256_setzero_si256();
      }
      for (int i = 0; i < planes; ++i) {
        __m256i low[2], high[2];
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
          const __m256i plane = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + 64 * i + 32 * v));
          low[v] = _mm256_and_si256(plane, nibble);
          high[v] = _mm256_and_si256(_mm256_srli_epi32(plane, 4), nibble);
        }
        for (int j = 0; j < inputs; ++j) {
          const __m256i c = _mm256_set1_epi32(layer.products.coefficients[i * inputs + j]);
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) {
            const auto* words = reinterpret_cast<const int32_t*>(layer.x.mantissas) + (start[r] + k) * inputs;
            const __m256i word = _mm256_set1_epi32(words[j]), shifted = _mm256_srli_epi32(word, 4);
#pragma GCC unroll 2
            for (int v = 0; v < 2; ++v) {
              const __m256i bytes = count_bits(_mm256_and_si256(low[v], word), _mm256_and_si256(high[v], shifted));
              const __m256i pairs = _mm256_maddubs_epi16(bytes, ones);
              dot[r][v] = _mm256_add_epi32(dot[r][v], _mm256_madd_epi16(pairs, c));
            }
          }
        }
      }
      const auto* multipliers = reinterpret_cast<const float*>(w + 64 * planes);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m256 step = _mm256_set1_ps(layer.x.steps[start[r] + k]);
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
          const __m256 scale = _mm256_mul_ps(_mm256_load_ps(multipliers + 8 * v), step);
          y[r][v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[r][v]), scale, y[r][v]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) _mm256_storeu_ps(spec.y + (row + r) * spec.pitch + 16 * panel + 8 * v, y[r][v]);
  }
}

template <bool OnePlane>
void all_tiles(const Layer& layer, const std::byte* weights, const ProductSpec& spec) {
  for (int64_t panel = 0; panel < spec.panels; ++panel) {
    int64_t r = 0;
    for (; r + 4 <= spec.rows; r += 4) tile<4, OnePlane>(layer, weights, spec, r, panel);
    for (; r < spec.rows; ++r) tile<1, OnePlane>(layer, weights, spec, r, panel);
  }
}

void run(const LayerShape& shape, const std::byte* weights, const RowsView& x, const ProductSpec& spec) {
  const int64_t blocks = shape.blocks(), block_bytes = bitserial::packed_block_bytes(shape.bits);
  const Layer layer{bitserial::plane_products(shape, x.format), blocks, block_bytes, shape.taps * blocks * block_bytes,
                    x};
  if (layer.products.weights == 1 && layer.products.inputs == 1) {
    all_tiles<true>(layer, weights, spec);
  } else {
    all_tiles<false>(layer, weights, spec);
  }
}

}  // namespace
}  // namespace kronbit::quant

#pragma GCC pop_options

namespace kronbit::quant {

const BlockKernel kBitserialAvx2{.name = "bitserial-avx2",
                                 .family = "bitserial",
                                 .needs = "avx2 fma",
                                 .supported = [] { return cpu().avx2 && cpu().fma; },
                                 .exact = true,
                                 .form = RowForm::Planes,
                                 .packed_bytes = bitserial::packed_bytes,
                                 .pack = bitserial::pack,
                                 .run = run};

}  // namespace kronbit::quant
