#include "nn/autograd.h"

#include <atomic>
#include <queue>
#include <unordered_set>

#include "tensor/parallel.h"
#include "tensor/rows/rows.h"

namespace kronbit::nn {
namespace {

std::atomic<int64_t> recorded{0};

/// into += g; in new memory if somebody else uses the old one.
void add_to(Tensor& into, const Tensor& g) {
  Tensor sum = into.unique() ? into : Tensor::uninitialized_like(into);
  visit_number(g.dtype(), [&]<class T>() {
    const RowKernels<T>& kernels = row_kernels<T>();
    const T *a = into.data<T>(), *b = g.data<T>();
    T* y = sum.data<T>();
    parallel_for(into.stored(), 1 << 16,
                 [&](int64_t begin, int64_t end) { kernels.add(end - begin, a + begin, b + begin, y + begin); });
  });
  into = std::move(sum);
}

}  // namespace

Var::Var(Tensor value, bool requires_grad) : node_(std::make_shared<Node>()) {
  node_->value = std::move(value);
  node_->requires_grad = requires_grad;
  node_->order = ++recorded;
}

void Var::Node::give_up_inputs(std::vector<std::shared_ptr<Node>>& to) {
  backward = nullptr;
  for (Var& input : inputs)
    if (input.node_) to.push_back(std::move(input.node_));
  inputs.clear();
}

Var::Node::~Node() {
  std::vector<std::shared_ptr<Node>> waiting;
  give_up_inputs(waiting);
  while (!waiting.empty()) {
    const std::shared_ptr<Node> node = std::move(waiting.back());
    waiting.pop_back();
    if (node.use_count() == 1) node->give_up_inputs(waiting);
  }
}

void Var::add_grad(Tensor g) const {
  if (!requires_grad()) return;
  const Tensor& v = node_->value;
  KB_CHECK(g.shape() == v.shape() && g.pitch() == v.pitch() && g.dtype() == v.dtype());
  if (!node_->grad.defined()) {
    node_->grad = std::move(g);
  } else {
    add_to(node_->grad, g);
  }
}

Var record(Tensor value, std::vector<Var> inputs, std::function<void(const Tensor&)> backward) {
  bool needed = false;
  for (const Var& v : inputs) needed = needed || v.requires_grad();
  Var result(std::move(value), needed);
  if (needed) {
    result.node_->inputs = std::move(inputs);
    result.node_->backward = std::move(backward);
  }
  return result;
}

void backward(const Var& loss, Tensor dy) {
  if (!loss.requires_grad()) return;
  if (!dy.defined()) {
    dy = Tensor::zeros_like(loss.value());
    visit_number(dy.dtype(), [&]<class T>() {
      for (int64_t r = 0; r < dy.rows(); ++r)
        for (int64_t c = 0; c < dy.cols(); ++c) dy.row<T>(r)[c] = static_cast<T>(1.0f);
    });
  }
  loss.add_grad(std::move(dy));

  // Latest first: when a value's turn comes, everything made from it has already added its share.
  using Entry = std::pair<int64_t, std::shared_ptr<Var::Node>>;
  std::priority_queue<Entry> waiting;
  std::unordered_set<int64_t> seen{loss.node_->order};
  waiting.emplace(loss.node_->order, loss.node_);
  while (!waiting.empty()) {
    const std::shared_ptr<Var::Node> node = waiting.top().second;
    waiting.pop();
    KB_CHECK(!node->used_up);       // a record serves one backward()
    if (!node->backward) continue;  // a leaf
    if (node->grad.defined()) node->backward(node->grad);
    for (const Var& input : node->inputs) {
      if (input.requires_grad() && seen.insert(input.node_->order).second)
        waiting.emplace(input.node_->order, input.node_);
    }
    node->used_up = true;
    node->backward = nullptr;
    node->inputs.clear();
    node->grad = Tensor();
  }
}

}  // namespace kronbit::nn
