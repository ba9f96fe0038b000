// Optimisers: they change a network's trainable parameters from their gradients. Formulas as in PyTorch.
#pragma once

#include <map>
#include <variant>

#include "nn/network.h"

namespace kronbit::nn {

/// Stochastic gradient descent.
/// Formula:  g = grad + weight_decay p; v = momentum v + g (v = 0 at first); p -= lr u,
///           u = g + momentum v with nesterov, else v
struct Sgd {
  double lr = 0.1;
  double momentum = 0.9;
  double weight_decay = 0;
  bool nesterov = false;
};

/// Formula:  g = grad + weight_decay p; m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2;
///           p -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps), t = 1, 2, ...
/// Source:   Kingma, Ba 2015, "Adam"; weight decay as a term of the gradient
struct Adam {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
};

using OptimiserOptions = std::variant<Sgd, Adam>;

/// The learning rate the options ask for: the base of a schedule.
double learning_rate(const OptimiserOptions& options);

/// Holds the running averages of a network's trainable parameters and updates both. Weight decay applies to all of
/// them, scales and biases too. Shares the parameters' Vars: they must not be replaced while it lives.
class Optimiser {
 public:
  /// Throws: InputError for rates that are not finite, negative, or beyond 1 where they are fractions.
  Optimiser(const std::vector<Parameter>& parameters, const OptimiserOptions& options);

  void clear_gradients();
  /// sqrt(sum of all squared gradients); gradients are scaled by max_norm / (norm + 1e-6) if that is below 1.
  double clip_gradients(double max_norm);
  /// One update at learning rate `lr`. A parameter without a gradient stays as it is.
  void step(double lr);

  /// What a resumed run needs: "step" [1], and per parameter "velocity.NAME" (Sgd with momentum) or
  /// "first_moment.NAME" and "second_moment.NAME" (Adam). Copies.
  std::map<std::string, Tensor> state() const;
  /// Throws: InputError listing what is missing, surplus or misshaped; then nothing is changed.
  void load_state(const std::map<std::string, Tensor>& state);

 private:
  struct Slot {
    std::string name;
    Var var;
    Tensor first, second;  // velocity, or the two moments; undefined if unused
  };
  OptimiserOptions options_;
  std::string first_name_;  // in state(), before the parameter name
  std::vector<Slot> slots_;
  int64_t steps_ = 0;
};

}  // namespace kronbit::nn
