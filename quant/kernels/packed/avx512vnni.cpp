// The block product of packed weights for AVX-512 with VNNI and GFNI: a step of 16 outputs becomes bytes in registers,
// by one GF2P8AFFINEQB per part, which moves the bits of a byte anywhere and so extends the sign too. Then as
// int8/avx512vnni.cpp. For few rows; many are better off with the bytes of int8/.
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <utility>

#include "quant/kernels/int8/tiles.h"
#include "quant/kernels/packed/format.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,gfni")
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false for the intrinsics of GCC 12 (its bug 105593)

namespace kronbit::quant {
namespace {

constexpr int kMaxRows = 6;
/// How far ahead weights are asked for, in bytes. From DRAM, 4 rows ran 1.6 times as fast as with the processor's own
/// foresight, which ends at every page and waits for the pass of the next rows.
constexpr int64_t kPrefetch = 8192;

/// How a byte of a line becomes the byte of a weight: 8 x 8 bits for every part and step of a line. For unsigned
/// activations weights_of() flips the bits from the top one on, which turns q + 2^(bits-1), its top bit repeated to the
/// left, into q.
struct Expansion {
  uint64_t matrix[3][8] = {};
  int bias = 0;  ///< of the bytes for signed activations: they are q + bias

  explicit Expansion(const LayerShape& shape) {
    const bool is_signed = shape.activations.is_signed, binary = shape.mode == Mode::Binary;
    const auto parts = packed::parts_of(shape.bits);
    for (size_t i = 0; i < 3 && parts[i].bits > 0; ++i) {
      for (int s = 0; s < parts[i].steps(); ++s) {
        for (int bit = 0; bit < 8; ++bit) {
          // Bit `bit` of the byte is bit `source` of what is stored, -1: none. Binary: 0 or 2 = q + 1; flipped, +-1.
          int source = is_signed ? bit : std::min(bit, shape.bits - 1);
          if (binary) source = bit == 1 || (bit > 1 && !is_signed) ? 0 : -1;
          if (source >= parts[i].first_bit && source < parts[i].first_bit + parts[i].bits)
            matrix[i][s] |= uint64_t{1} << (8 * (7 - bit) + s * parts[i].bits + source - parts[i].first_bit);
        }
      }
    }
    bias = binary ? 1 : 1 << (shape.bits - 1);
  }
};

/// The 64 bytes of a step.
template <bool kIsSigned, int kBits>
[[gnu::always_inline]] inline __m512i weights_of(const Expansion& expansion, const std::byte* w, int step) {
  constexpr auto kParts = packed::parts_of(kBits);
  constexpr int kFlipped = kIsSigned ? 0 : 0xff << (kBits - 1) & 0xff;
  __m512i bytes = _mm512_setzero_si512();
#pragma GCC unroll 3
  for (size_t i = 0; i < 3; ++i) {
    if (kParts[i].bits == 0) break;
    const int line = kParts[i].first_bit + step / (8 / kParts[i].bits), s = step % (8 / kParts[i].bits);
    const __m512i stored = _mm512_load_si512(w + 64 * line);
    const __m512i matrix = _mm512_set1_epi64(static_cast<int64_t>(expansion.matrix[i][s]));
    const __m512i moved = i == 0 ? _mm512_gf2p8affine_epi64_epi8(stored, matrix, kFlipped)
                                 : _mm512_gf2p8affine_epi64_epi8(stored, matrix, 0);
    bytes = i == 0 ? moved : _mm512_xor_si512(bytes, moved);
  }
  return bytes;
}

template <bool kIsSigned, int kBits, int R>
void tile(const Product& a, const Expansion& expansion, int64_t row, int64_t panel) {
  __m512 y[R];
  for (__m512& v : y) v = _mm512_setzero_ps();
  for (const Tap& tap : a.spec.taps) {
    const TapRows<R> x(a.x, tap.x_rows + row);
    const std::byte* w = a.weights + panel * a.panel_bytes + tap.tap * a.tap_bytes;
    for (int64_t k = 0; k < a.x.blocks; ++k, w += 64 * (kBits + 1)) {
#pragma GCC unroll 9
      for (int line = 0; line <= kBits; ++line)
        _mm_prefetch(reinterpret_cast<const char*>(w + kPrefetch + 64 * line), _MM_HINT_T0);
      __m512i dot[R];
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        dot[r] = _mm512_setzero_si512();
        if constexpr (kIsSigned)
          dot[r] = _mm512_mullo_epi32(_mm512_set1_epi32(-a.bias), _mm512_set1_epi32(x.sums[r][k]));
      }
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) {
        const __m512i wv = weights_of<kIsSigned, kBits>(expansion, w, j);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
          const __m512i mv = _mm512_set1_epi32(x.four(r, k, j));
          dot[r] = kIsSigned ? _mm512_dpbusd_epi32(dot[r], wv, mv) : _mm512_dpbusd_epi32(dot[r], mv, wv);
        }
      }
      const __m512 multiplier = _mm512_load_ps(reinterpret_cast<const float*>(w + 64 * kBits));
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const __m512 scale = _mm512_mul_ps(multiplier, _mm512_set1_ps(x.steps[r][k]));
        y[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r]), scale, y[r]);
      }
    }
  }
  for (int r = 0; r < R; ++r) _mm512_storeu_ps(a.y(row + r, panel), y[r]);
}

using Tile = void (*)(const Product&, const Expansion&, int64_t, int64_t);
/// Tiles of 1, 2, ... rows.
template <bool kIsSigned, int kBits, int... R>
constexpr std::array<Tile, kMaxRows> tiles(std::integer_sequence<int, R...>) {
  return {tile<kIsSigned, kBits, R + 1>...};
}
/// Those for 1, 2, ... bits.
template <bool kIsSigned, int... kBits>
constexpr std::array<std::array<Tile, kMaxRows>, 8> tiles_of_bits(std::integer_sequence<int, kBits...>) {
  return {tiles<kIsSigned, kBits + 1>(std::make_integer_sequence<int, kMaxRows>())...};
}
constexpr auto kUnsigned = tiles_of_bits<false>(std::make_integer_sequence<int, 8>());
constexpr auto kSigned = tiles_of_bits<true>(std::make_integer_sequence<int, 8>());

void run(const LayerShape& shape, const std::byte* weights, const RowsView& x, const ProductSpec& spec) {
  const Expansion expansion(shape);
  const int64_t tap_bytes = shape.blocks() * packed::block_bytes(shape);
  const Product a{weights, x, spec, shape.taps * tap_bytes, tap_bytes, expansion.bias};
  const auto& of_rows = (shape.activations.is_signed ? kSigned : kUnsigned)[static_cast<size_t>(shape.bits - 1)];
  for (int64_t panel = spec.first_panel; panel < spec.first_panel + spec.panels; ++panel) {
    for_row_tiles(spec.rows, kMaxRows,
                  [&](int64_t row, int64_t rows) { of_rows[static_cast<size_t>(rows - 1)](a, expansion, row, panel); });
  }
}

bool supported() {
  return cpu().avx512f && cpu().avx512bw && cpu().avx512dq && cpu().avx512vl && cpu().avx512_vnni && cpu().gfni;
}

}  // namespace

const BlockKernel kPackedAvx512Vnni{.name = "packed-avx512vnni",
                                    .family = "packed",
                                    .needs = "avx512f avx512bw avx512dq avx512vl avx512-vnni gfni",
                                    .supported = supported,
                                    .exact = true,
                                    .form = RowForm::Bytes,
                                    .packed_bytes = packed::packed_bytes,
                                    .pack = packed::pack,
                                    .run = run};

}  // namespace kronbit::quant

#pragma GCC pop_options
