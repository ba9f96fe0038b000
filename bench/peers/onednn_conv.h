// The convolution of oneDNN 2.x, to be timed beside ours. Built where that library is installed (libdnnl-dev of Debian 12).
#pragma once

#include <memory>
#include <string>

#include "nn/ops/conv2d.h"

namespace kronbit {

enum class Pass { Forward, Data, Weights };
/// Of a forward pass: activations u8 (as after a ReLU), weights s8, one scale per output channel, result u8.
struct Int8 {};

/// One pass of one convolution, on oneDNN's own choice of layouts: the reordering of operands is not in its time.
/// Shapes:   images of height = width = size; F32 or BF16 activations and weights, the gradient of weights in F32
/// Throws:   Error if oneDNN has no implementation for it on this processor
class OnednnConv {
 public:
  OnednnConv(const nn::Conv2dOptions& options, int64_t size, int64_t images, Pass pass, DType type);
  OnednnConv(const nn::Conv2dOptions& options, int64_t size, int64_t images, Int8);
  ~OnednnConv();
  void run();
  std::string implementation() const;  ///< oneDNN's name for it: "jit_bf16:avx512_core_bf16"

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kronbit
