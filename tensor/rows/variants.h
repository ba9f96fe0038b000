// The compiled copies of kernels.inc, one per file of this folder; listed in table.cpp. Private to the folder.
#pragma once

#include "tensor/rows/rows.h"

namespace kronbit {

extern const RowKernels<float> kRowsF32Avx512, kRowsF32Avx2, kRowsF32Baseline;
extern const RowKernels<bf16> kRowsBf16Avx512, kRowsBf16Avx2, kRowsBf16Baseline;
extern const RowKernels<double> kRowsF64Baseline;
extern const FloatKernels kFloatsAvx512, kFloatsAvx2, kFloatsBaseline;

}  // namespace kronbit
