// The steps of a plan, one class per kind of operator. All read values of the plan and hand what they computed to
// Plan::emit(), which stores numbers and packs rows for the convolutions that follow.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/ops/pool.h"
#include "quant/engine/plan.h"

namespace kronbit::quant {

/// What follows a product of rows: y = y * scale + shift [+ residual], then ReLU. scale empty: nothing of the first.
struct Epilogue {
  std::vector<float> scale, shift;  ///< per channel, padded to blocks of 32 with zeros
  int residual = -1;                ///< value whose numbers are added
  bool relu = false;
  /// y[r * pitch + i], output rows first_row + r, channels from 32 * first_block on.
  void apply(const Plan& plan, const Arena& arena, float* y, int64_t pitch, int64_t first_row, int64_t rows,
             int64_t first_block, int64_t blocks) const;
};

/// A convolution by block products.
std::unique_ptr<PlanStep> make_block_conv(const Plan& plan, int input, int copy, int output, const ConvSite& site,
                                          Chosen chosen, Epilogue epilogue);
/// A convolution of FP32 numbers, or of numbers quantized on the way: the image, other block sizes.
std::unique_ptr<PlanStep> make_dense_conv(const Plan& plan, int input, int output, const ConvSite& site, bool quantize,
                                          DenseWeights weights, Epilogue epilogue);
/// input * scale + shift [+ residual], ReLU, as the epilogue says.
std::unique_ptr<PlanStep> make_rowwise(int input, int output, Epilogue epilogue);
std::unique_ptr<PlanStep> make_max_pool(int input, int output, const nn::PoolOptions& options);
std::unique_ptr<PlanStep> make_avg_pool(int input, int output, const nn::PoolOptions& options);
std::unique_ptr<PlanStep> make_global_avg_pool(int input, int output);
std::unique_ptr<PlanStep> make_concat(std::vector<int> inputs, int output);
std::unique_ptr<PlanStep> make_shortcut_a(int input, int output, int64_t stride);
std::unique_ptr<PlanStep> make_flatten(int input, int output);
/// depth: inputs of an output; bias [O].
std::unique_ptr<PlanStep> make_linear(int input, int output, int64_t depth, DenseWeights weights, const Tensor& bias);

}  // namespace kronbit::quant
