// The block product of packed weights for AVX2: some blocks of a panel become the bytes of int8/format.h, in a buffer
// in the first cache, for all rows of the call; then as int8/avx2.cpp. Results stay in memory between the pieces.
#include "quant/kernels/int8/avx2_blocks.h"
#include "quant/kernels/packed/format.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma")

namespace kronbit::quant {
namespace {

constexpr int64_t kPieceBlocks = 16;  ///< of the buffer: 9 KiB, beside rows and results in 32

/// How far ahead weights are asked for, in bytes; the rows between two pieces break the processor's own foresight.
constexpr int64_t kPrefetch = 4096;

/// The bits of 32 integers of a step, half a panel: in place, the others 0.
template <int kBits>
[[gnu::always_inline]] inline __m256i bits_of(const std::byte* w, int step, int half) {
  constexpr auto kParts = packed::parts_of(kBits);
  __m256i bits = _mm256_setzero_si256();
#pragma GCC unroll 3
  for (size_t i = 0; i < 3; ++i) {
    if (kParts[i].bits == 0) break;
    const int line = kParts[i].first_bit + step / (8 / kParts[i].bits), s = step % (8 / kParts[i].bits);
    const int right = s * kParts[i].bits - kParts[i].first_bit;  // what comes in from the next byte is masked
    const __m256i bytes = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + 64 * line + 32 * half));
    const __m256i moved = right >= 0 ? _mm256_srli_epi16(bytes, right) : _mm256_slli_epi16(bytes, -right);
    const auto mask = static_cast<char>(((1 << kParts[i].bits) - 1) << kParts[i].first_bit);
    bits = _mm256_or_si256(bits, _mm256_and_si256(moved, _mm256_set1_epi8(mask)));
  }
  return bits;
}

/// One block as int8/format.h has it.
template <bool kSigned, int kBits, bool kBinary>
void expand(const std::byte* from, std::byte* to) {
  const __m256i one = _mm256_set1_epi8(1), bias = _mm256_set1_epi8(static_cast<char>(1 << (kBits - 1)));
#pragma GCC unroll 8
  for (int step = 0; step < int8::kSteps; ++step) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      __m256i q = bits_of<kBits>(from, step, half);
      if constexpr (kBinary) {
        const __m256i twice = _mm256_add_epi8(q, q);  // q + 1
        q = kSigned ? _mm256_add_epi8(twice, one) : _mm256_sub_epi8(twice, one);
      } else if constexpr (!kSigned) {
        q = _mm256_sub_epi8(q, bias);
      }
      _mm256_store_si256(reinterpret_cast<__m256i*>(to + step * int8::kStepBytes + 32 * half), q);
    }
  }
  std::memcpy(to + int8::kSteps * int8::kStepBytes, from + 64 * kBits, 64);
}

using Expand = void (*)(const std::byte*, std::byte*);
template <bool kSigned>
Expand expand_for(const LayerShape& shape) {
  static constexpr Expand kTable[] = {expand<kSigned, 1, false>, expand<kSigned, 2, false>, expand<kSigned, 3, false>,
                                      expand<kSigned, 4, false>, expand<kSigned, 5, false>, expand<kSigned, 6, false>,
                                      expand<kSigned, 7, false>, expand<kSigned, 8, false>};
  return shape.mode == Mode::Binary ? expand<kSigned, 1, true> : kTable[shape.bits - 1];
}

/// Blocks `first` .. `end` - 1 of a tap, already expanded, added to R rows of one panel.
template <bool kSigned, int kSteps16, int R>
struct Tile {
  static void run(const Product& a, const Tap& tap, const std::byte* w, int64_t first, int64_t end, int64_t row,
                  int64_t panel) {
    __m256 y[R][2];
    for (int r = 0; r < R; ++r)
      for (int h = 0; h < 2; ++h) y[r][h] = _mm256_loadu_ps(a.y(row + r, panel) + 8 * h);
    add_blocks<kSigned, kSteps16, R>(TapRows<R>(a.x, tap.x_rows + row), w, first, end, a.bias, y);
    for (int r = 0; r < R; ++r)
      for (int h = 0; h < 2; ++h) _mm256_storeu_ps(a.y(row + r, panel) + 8 * h, y[r][h]);
  }
};

void run(const LayerShape& shape, const std::byte* weights, const RowsView& x, const ProductSpec& spec) {
  alignas(64) std::byte piece[kPieceBlocks * int8::kBlockBytes];
  const int64_t block_bytes = packed::block_bytes(shape), tap_bytes = shape.blocks() * block_bytes;
  const Product a{weights, x, spec, shape.taps * tap_bytes, tap_bytes, int8::bias(shape)};
  const bool is_signed = shape.activations.is_signed;
  const Expand expand_block = is_signed ? expand_for<true>(shape) : expand_for<false>(shape);
  const auto& tiles = tiles_for<Tile>(shape);
  for (int64_t row = 0; row < spec.rows; ++row) std::fill_n(spec.y + row * spec.pitch, 16 * spec.panels, 0.0f);
  for (int64_t panel = spec.first_panel; panel < spec.first_panel + spec.panels; ++panel) {
    for (const Tap& tap : spec.taps) {
      const std::byte* w = weights + panel * a.panel_bytes + tap.tap * tap_bytes;
      for (int64_t first = 0; first < x.blocks; first += kPieceBlocks) {
        const int64_t end = std::min(x.blocks, first + kPieceBlocks);
        for (int64_t k = first; k < end; ++k) {
          const std::byte* block = w + k * block_bytes;
          for (int64_t line = 0; line < block_bytes; line += 64)
            _mm_prefetch(reinterpret_cast<const char*>(block + kPrefetch + line), _MM_HINT_T0);
          expand_block(block, piece + (k - first) * int8::kBlockBytes);
        }
        for_row_tiles(spec.rows, 3, [&](int64_t row, int64_t rows) {
          tiles[static_cast<size_t>(rows - 1)](a, tap, piece, first, end, row, panel);
        });
      }
    }
  }
}

bool supported() { return cpu().avx2 && cpu().fma; }

}  // namespace

const BlockKernel kPackedAvx2{.name = "packed-avx2",
                              .family = "packed",
                              .needs = "avx2 fma",
                              .supported = supported,
                              .exact = true,
                              .form = RowForm::Bytes,
                              .packed_bytes = packed::packed_bytes,
                              .pack = packed::pack,
                              .run = run};

}  // namespace kronbit::quant

#pragma GCC pop_options
