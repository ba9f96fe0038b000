// The weight quantizer for any x86-64: SSE2.
#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>

#include "quant/kernels/weights/kernels.h"

#define KB_DOUBLES 2
#include "quant/kernels/weights/kernels.inc"

namespace kronbit::quant {
namespace {
bool supported() { return true; }
}  // namespace

const WeightKernels kWeightsBaseline = {"baseline", "", supported, quantize_blocks};

}  // namespace kronbit::quant
