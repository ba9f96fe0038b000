#include "nn/network.h"

#include <algorithm>
#include <cmath>

#include "nn/fusion.h"
#include "nn/ops/conv_norm.h"
#include "tensor/rng.h"

namespace kronbit::nn {
namespace {

class Input : public Op {
 public:
  explicit Input(Shape shape) : shape_(std::move(shape)) {}
  std::string_view kind() const override { return "input"; }
  Shape output_shape(std::span<const Shape>) const override { return shape_; }
  Var apply(std::span<const Var> inputs, std::span<Var>, const RunContext&) const override { return inputs[0]; }

 private:
  Shape shape_;
};

std::vector<int> inputs_of(const Network& net, const Step& step) {
  if (step.conv < 0) return net.nodes()[static_cast<size_t>(step.node)].inputs;
  std::vector<int> inputs = net.nodes()[static_cast<size_t>(step.conv)].inputs;
  if (step.residual >= 0) inputs.push_back(step.residual);
  return inputs;
}

std::vector<int> parameters_of(const Network& net, const Step& step) {
  if (step.conv < 0) return net.nodes()[static_cast<size_t>(step.node)].parameters;
  std::vector<int> parameters = net.nodes()[static_cast<size_t>(step.conv)].parameters;
  const std::vector<int>& of_norm = net.nodes()[static_cast<size_t>(step.norm)].parameters;
  parameters.insert(parameters.end(), of_norm.begin(), of_norm.end());
  return parameters;
}

Var run(const Network& net, const Step& step, std::span<const Var> inputs, std::span<Var> parameters,
        const RunContext& context) {
  if (step.conv < 0) return net.nodes()[static_cast<size_t>(step.node)].op->apply(inputs, parameters, context);
  const auto layer = std::static_pointer_cast<const Convolution>(net.nodes()[static_cast<size_t>(step.conv)].op);
  const auto& norm = static_cast<const BatchNorm&>(*net.nodes()[static_cast<size_t>(step.norm)].op);
  return conv_norm(layer, norm.options(), inputs[0], inputs.size() > 1 ? inputs[1] : Var(), parameters, step.relu,
                   context);
}

/// bf16 as float, where the last operator is no linear layer, which sums in float.
Var as_float(const Var& y) {
  return record(y.value().to(DType::F32), {y}, [y](const Tensor& dy) { y.add_grad(dy.to(DType::BF16)); });
}

}  // namespace

Network::Network(std::string name, int64_t height, int64_t width, int64_t channels, int classes)
    : name_(std::move(name)), classes_(classes) {
  if (classes < 1) input_error(name_, "classes: wanted at least 1, got {}", classes);
  const Shape shape{height, width, 1, channels};
  nodes_.push_back({"input", std::make_shared<Input>(shape), {}, {}, shape});
}

int Network::add(const std::string& name, OpPtr op, std::vector<int> inputs) {
  Node node{name, std::move(op), std::move(inputs), {}, {}};
  for (const Node& other : nodes_) {
    if (other.name == name) input_error(name_, "two nodes are named {}", name);
  }
  std::vector<Shape> shapes;
  for (int i : node.inputs) {
    KB_CHECK(i >= 0 && i < static_cast<int>(nodes_.size()));
    shapes.push_back(nodes_[static_cast<size_t>(i)].shape);
  }
  try {
    node.shape = node.op->output_shape(shapes);
  } catch (const InputError& e) {
    input_error(name_, "{}: {}", name, e.what());
  }
  for (const ParameterSpec& spec : node.op->parameters()) {
    node.parameters.push_back(static_cast<int>(parameters_.size()));
    parameters_.push_back({name + "." + spec.name, spec.role, Var(Tensor::zeros(spec.shape), spec.trainable())});
  }
  nodes_.push_back(std::move(node));
  return static_cast<int>(nodes_.size()) - 1;
}

void Network::replace(int index, OpPtr op) {
  Node& node = nodes_[static_cast<size_t>(index)];
  std::vector<Shape> shapes;
  for (int i : node.inputs) shapes.push_back(nodes_[static_cast<size_t>(i)].shape);
  KB_CHECK(op->output_shape(shapes) == node.shape);
  KB_CHECK_EQ(op->parameters().size(), node.parameters.size());
  node.op = std::move(op);
}

const Parameter* Network::find_parameter(std::string_view name) const {
  const auto it =
      std::find_if(parameters_.begin(), parameters_.end(), [&](const Parameter& p) { return p.name == name; });
  return it == parameters_.end() ? nullptr : &*it;
}

std::vector<int> Network::convolutions() const {
  std::vector<int> found;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const std::string_view kind = nodes_[i].op->kind();
    if (kind == "conv2d" || kind == "dsconv") found.push_back(static_cast<int>(i));
  }
  return found;
}

bool Network::non_negative(int node) const {
  const auto known = std::make_unique<bool[]>(nodes_.size());
  for (size_t i = 0; i <= static_cast<size_t>(node); ++i) {
    const auto& inputs = nodes_[i].inputs;
    const auto flags = std::make_unique<bool[]>(inputs.size() + 1);
    for (size_t k = 0; k < inputs.size(); ++k) flags[k] = known[static_cast<size_t>(inputs[k])];
    known[i] = nodes_[i].op->non_negative({flags.get(), inputs.size()});
  }
  return known[static_cast<size_t>(node)];
}

int64_t Network::parameter_count() const {
  int64_t n = 0;
  for (const Parameter& p : parameters_) n += p.var.requires_grad() ? p.var.value().count() : 0;
  return n;
}

void Network::initialize(uint64_t seed) {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Tensor& t = parameters_[i].var.value();
    const Role role = parameters_[i].role;
    float* v = t.data<float>();
    if (role == Role::Scale || role == Role::Variance) {
      std::fill(v, v + t.count(), 1.0f);
    } else if (role == Role::Weight && t.shape().rank() == 4) {
      Rng rng(seed, Purpose::Init, {i});
      const double sd = std::sqrt(2.0 / static_cast<double>(t.shape()[0] * t.shape()[2] * t.shape()[3]));
      for (int64_t k = 0; k < t.count(); ++k) v[k] = static_cast<float>(sd * rng.normal());
    } else if (role == Role::Weight) {
      Rng rng(seed, Purpose::Init, {i});
      const double bound = 1.0 / std::sqrt(static_cast<double>(std::max<int64_t>(1, t.cols())));
      for (int64_t k = 0; k < t.count(); ++k) v[k] = static_cast<float>(rng.uniform(-bound, bound));
    } else {
      std::fill(v, v + t.count(), 0.0f);
    }
  }
}

void Network::check_input(const Tensor& x) const {
  const Shape& want = nodes_[0].shape;
  if (x.shape().rank() != 4 || x.height() != want[0] || x.width() != want[1] || x.channels() != want[3]) {
    input_error(name_, "input: wanted [{}, {}, N, {}], got {}", want[0], want[1], want[3], x.shape().text());
  }
}

Var Network::forward(const Tensor& x, const RunContext& context) {
  check_input(x);
  // Someone who looks at every node's output needs every node to run by itself.
  const std::vector<Step> order = steps(*this, context.fused && !context.observe && x.dtype() != DType::F64);
  std::vector<int> last_reader(nodes_.size(), 0);
  for (const Step& step : order)
    for (int k : inputs_of(*this, step)) last_reader[static_cast<size_t>(k)] = step.node;

  std::vector<Var> values(nodes_.size());
  values[0] = Var(context.precision == DType::BF16 ? x.to(DType::BF16) : x);
  for (const Step& step : order) {
    std::vector<Var> inputs, parameters;
    const std::vector<int> read = inputs_of(*this, step);
    for (int k : read) inputs.push_back(values[static_cast<size_t>(k)]);
    for (int p : parameters_of(*this, step)) {
      const Var& var = parameters_[static_cast<size_t>(p)].var;
      parameters.push_back(context.training ? var : Var(var.value()));  // inference records nothing
    }
    Var& result = values[static_cast<size_t>(step.node)];
    result = run(*this, step, inputs, parameters, context);
    if (context.observe) context.observe(nodes_[static_cast<size_t>(step.node)], result.value());
    for (int k : read)
      if (last_reader[static_cast<size_t>(k)] == step.node) values[static_cast<size_t>(k)] = Var();
  }
  return values.back().value().dtype() == DType::BF16 ? as_float(values.back()) : values.back();
}

Network Network::clone() const {
  Network copy = *this;
  for (Parameter& p : copy.parameters_) p.var = Var(p.var.value().clone(), p.var.requires_grad());
  return copy;
}

}  // namespace kronbit::nn
