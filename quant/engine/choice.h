// Which kernel runs a layer: the plausible ones are timed for a few milliseconds on rows and weights of the layer's own
// shape; the result can be kept in a file beside the model.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nn/ops/conv2d.h"
#include "quant/engine/conv_rows.h"
#include "quant/engine/engine.h"
#include "quant/kernels/rows.h"

namespace kronbit::quant {

/// Weights of one layer as one kernel wants them; shared by all plans.
struct KernelWeights {
  std::shared_ptr<void> memory;
  int64_t bytes = 0;
  const std::byte* data() const { return static_cast<const std::byte*>(memory.get()); }
};

/// FP32 weights of a layer as dense_panels() gives them; shared by all plans.
using DenseWeights = std::shared_ptr<const std::vector<float>>;

/// A quantized convolution as the chooser sees it.
struct ConvSite {
  std::string layer;
  nn::Conv2dOptions conv;
  int64_t height = 0, width = 0;  ///< of the input map
  LayerShape shape;
  const PackedLayer* weights = nullptr;
};

/// What was chosen for a site, ready to run.
struct Chosen {
  const BlockKernel* kernel = nullptr;
  Border border = Border::Grouped;
  std::shared_ptr<const KernelWeights> weights;
  LayerChoice report;
};

class Chooser {
 public:
  /// key: what besides layer and images decides (model, machine), for the file of choices.
  Chooser(const EngineOptions& options, std::string key);
  /// Throws: InputError when the forced kernel is unknown or cannot run here.
  Chosen choose(const ConvSite& site, int64_t images);
  /// Weights of a layer without a block product; `make` makes them when they are first asked for.
  DenseWeights dense_weights(const std::string& layer, const std::function<std::vector<float>()>& make);
  /// Some layer runs a forced kernel.
  bool forced_was_used() const { return forced_ == nullptr || forced_used_; }
  /// Writes the file of choices when something is new. No error when it cannot be written.
  void keep() const;
  int64_t weight_bytes() const;  ///< of all layers, as their kernels want them

 private:
  struct Known {
    std::string kernel, border, runner_up;
    double microseconds = 0, runner_up_microseconds = 0;
  };
  std::vector<const BlockKernel*> candidates(const ConvSite& site) const;
  std::shared_ptr<const KernelWeights> weights(const ConvSite& site, const BlockKernel& kernel);
  void read();

  EngineOptions options_;
  std::string key_;
  const BlockKernel* forced_ = nullptr;
  bool forced_used_ = false, changed_ = false;
  std::map<std::string, Known> known_;  // by "layer/images"
  std::map<std::pair<std::string, std::string_view>, std::shared_ptr<const KernelWeights>> weights_;
  std::map<std::string, DenseWeights> dense_weights_;  // by layer
};

/// Rows like those after a ReLU, packed, for timing; the last one zero.
struct SampleRows {
  std::shared_ptr<void> memory;
  RowsOut out;
  SampleRows(const ConvSite& site, int64_t images, RowForm form);
};

/// Runs a layer's product once over all its rows, chunk by chunk, on the calling thread.
void run_product(const ConvSite& site, const BlockKernel& kernel, const std::byte* weights, const RowsView& x,
                 const std::vector<RowGroup>& groups, float* y);

/// Output rows that one call works on: their sums stay in the second cache.
int64_t chunk_rows(int64_t outputs);

}  // namespace kronbit::quant
