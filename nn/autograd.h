// Reverse-mode differentiation: a Var is a tensor that remembers which operator made it. backward() walks the record
// from the loss to the leaves. Operators (nn/ops/) record themselves with record(); plain functions do the arithmetic.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "tensor/tensor.h"

namespace kronbit::nn {

/// A value and, after backward(), the gradient of the loss with respect to it. Copies share both.
class Var {
 public:
  Var() = default;
  explicit Var(Tensor value, bool requires_grad = false);

  bool defined() const { return node_ != nullptr; }
  const Tensor& value() const { return node_->value; }
  Tensor& value() { return node_->value; }
  bool requires_grad() const { return node_ && node_->requires_grad; }

  /// The gradient: same shape and type as value(); undefined before anything was added.
  const Tensor& grad() const { return node_->grad; }
  Tensor& grad() { return node_->grad; }
  /// grad += g. The first call keeps g itself, without a copy: several values may get one tensor, but nobody may write
  /// to it afterwards. No-op unless requires_grad(). Requires: g of value()'s shape, pitch and type
  void add_grad(Tensor g) const;
  void clear_grad() { node_->grad = Tensor(); }

 private:
  using Backward = std::function<void(const Tensor& dy)>;
  struct Node {
    Tensor value, grad;
    bool requires_grad = false;
    bool used_up = false;  // by backward()
    int64_t order = 0;     // time of recording: later values never feed earlier ones
    std::vector<Var> inputs;
    Backward backward;  // adds to the inputs' gradients; captures no values but the inputs
    Node() = default;
    Node(const Node&) = delete;
    ~Node();  // gives up what only it keeps, one by one: a long record would overflow the stack
    void give_up_inputs(std::vector<std::shared_ptr<Node>>& to);
  };
  std::shared_ptr<Node> node_;
  friend Var record(Tensor value, std::vector<Var> inputs, Backward backward);
  friend void backward(const Var& loss, Tensor dy);
};

/// The result of an operator. `backward(dy)` must add_grad() to every input that requires_grad(). Without such an input
/// nothing is remembered (inference), and whatever `backward` captured is freed at once.
Var record(Tensor value, std::vector<Var> inputs, std::function<void(const Tensor& dy)> backward);

/// Adds d(loss)/d(leaf) to every leaf that requires a gradient. The record is used up: intermediate gradients, captured
/// tensors and closures are released on the way. `dy` seeds the gradient of `loss` (default: ones).
/// Requires: no part of the record was used up before; throws InternalError otherwise
void backward(const Var& loss, Tensor dy = Tensor());

}  // namespace kronbit::nn
