// Dropout: random zeros in training, the identity otherwise.
#pragma once

#include "nn/network.h"

namespace kronbit::nn {

/// Which numbers are drawn: a resumed run draws the same ones.
struct DropoutKey {
  uint64_t seed = 0, step = 0;
  uint64_t salt = 0;  ///< tells the dropouts of one network apart
};

/// Formula:  y = x / (1 - p) with probability 1 - p, else 0; element by element, drawn from the key alone
/// Shapes:   x, y equal shapes; f32, f64 or bf16
Tensor dropout_forward(const Tensor& x, double p, const DropoutKey& key);
/// Formula:  dx = dy / (1 - p) where x was kept, else 0: the same map
Tensor dropout_backward(const Tensor& dy, double p, const DropoutKey& key);

Var dropout(const Var& x, double p, const DropoutKey& key);

class Dropout : public Op {
 public:
  /// Requires: 0 <= p < 1, another salt for every dropout of a network. Throws: InputError for another p.
  Dropout(double p, uint64_t salt);
  std::string_view kind() const override { return "dropout"; }
  std::string describe() const override;
  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  bool non_negative(std::span<const bool> inputs) const override { return inputs[0]; }
  Var apply(std::span<const Var> inputs, std::span<Var>, const RunContext& context) const override;

 private:
  double p_;
  uint64_t salt_;
};

}  // namespace kronbit::nn
