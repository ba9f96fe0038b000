// The folded product for AMX: amx_kernel.h over the processor's tiles.
#include <immintrin.h>

#include "quant/kernels/bf16/amx_kernel.h"
#include "tensor/brgemm/amx_tiles.h"
#include "tensor/cpu.h"

namespace kronbit::quant {
namespace {

struct CopyingAmxTiles : AmxTiles {
  __attribute__((target("avx512f"))) static void copy_rows(const std::byte* from, const int32_t* rows, int64_t count,
                                                           int64_t pitch, int64_t bytes, std::byte* to,
                                                           int64_t to_pitch) {
    for (int64_t r = 0; r < count; ++r) {
      const std::byte* row = from + rows[r] * pitch;
      for (int64_t i = 0; i < bytes; i += 64) _mm512_store_si512(to + r * to_pitch + i, _mm512_loadu_si512(row + i));
    }
  }
};

template <bool kSplit>
constexpr BlockKernel kernel(std::string_view name, std::string_view family) {
  return {.name = name,
          .family = family,
          .needs = "amx-tile amx-bf16 avx512f",
          .supported = [] { return cpu().amx_bf16 && cpu().avx512f; },
          .exact = false,
          .form = RowForm::Bf16,
          .packed_bytes = folded_bytes<kSplit>,
          .pack = pack_folded<kSplit>,
          .run = folded_product_in_tiles<CopyingAmxTiles, kSplit>};
}

}  // namespace

const BlockKernel kBf16Amx = kernel<false>("bf16-amx", "bf16");
const BlockKernel kBf16SplitAmx = kernel<true>("bf16-split-amx", "bf16-split");

}  // namespace kronbit::quant
