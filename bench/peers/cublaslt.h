// cuBLASLt's matrix product, to time ours beside: loaded when asked for, so that nothing of ours links it.
#pragma once

#include <cstdint>
#include <string>

#include "tensor/cuda/device.h"

namespace kronbit::bench {

/// Seconds of y [m][n] bf16 = x [m][k] bf16 times w [k][n] bf16, sums in FP32: the best of the algorithms that its
/// heuristic proposes, each over `calls` calls. Negative, and in `why` the reason, where it cannot be had.
double cublaslt_seconds(Device& device, int64_t m, int64_t n, int64_t k, int calls, std::string& why);

}  // namespace kronbit::bench
