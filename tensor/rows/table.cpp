// The ordered list of variants of the row loops, best first, and the choice among them.
#include "tensor/cpu.h"
#include "tensor/rows/variants.h"
#include "tensor/variants.h"

namespace kronbit {
namespace {

bool always() { return true; }
bool has_avx2() { return cpu().avx2; }
bool has_avx512() { return cpu().avx512f && cpu().avx512bw && cpu().avx512dq && cpu().avx512vl; }

constexpr RowVariant kVariants[] = {
    {"avx512", "avx512f avx512bw avx512dq avx512vl", has_avx512, &kRowsF32Avx512, &kRowsBf16Avx512, &kFloatsAvx512},
    {"avx2", "avx2", has_avx2, &kRowsF32Avx2, &kRowsBf16Avx2, &kFloatsAvx2},
    {"baseline", "", always, &kRowsF32Baseline, &kRowsBf16Baseline, &kFloatsBaseline},
};

const RowVariant& best() { return first_supported(row_variants()); }

}  // namespace

std::span<const RowVariant> row_variants() { return kVariants; }

template <>
const RowKernels<float>& row_kernels<float>() {
  return *best().f32;
}
template <>
const RowKernels<bf16>& row_kernels<bf16>() {
  return *best().b16;
}
template <>
const RowKernels<double>& row_kernels<double>() {
  return kRowsF64Baseline;
}
const FloatKernels& float_kernels() { return *best().floats; }

}  // namespace kronbit
