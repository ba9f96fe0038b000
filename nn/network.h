// A network is data: a list of named nodes, each an operator, the nodes it reads and the parameters it owns. Training,
// summary, size, quantization, folding, packing and import all read this one description.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/autograd.h"

namespace kronbit::nn {

class ConvWeightCache;  // nn/ops/conv2d_products.h

/// How a forward pass runs.
struct RunContext {
  bool training = false;         ///< batch statistics and dropout; gradients are recorded for trainable parameters
  DType precision = DType::F32;  ///< of activations and their gradients: F32 or BF16
  bool fused = true;             ///< convolution, normalization, sum and ReLU in one operator (fusion.h)
  ConvWeightCache* weights = nullptr;  ///< for several passes without training between them; else null
  uint64_t seed = 0;                   ///< of dropout
  uint64_t step = 0;                   ///< training step: the other key of dropout
  /// Called with every node's output as soon as it exists: for looking inside (which layer made the NaN?).
  std::function<void(const struct Node& node, const Tensor& output)> observe = {};
};

/// What a parameter is for; decides its initial value, weight decay and import.
enum class Role { Weight, Bias, Scale, Shift, Mean, Variance };

/// A tensor an operator needs: "weight" of shape [O, C, kh, kw].
struct ParameterSpec {
  std::string name;  ///< last part of the state-dict name: "weight", "bias", "running_mean"
  Shape shape;
  Role role;
  bool trainable() const { return role != Role::Mean && role != Role::Variance; }
};

/// One operator with its options: immutable, shared by nodes. Shapes are activations [H, W, N, C].
class Op {
 public:
  virtual ~Op() = default;
  virtual std::string_view kind() const = 0;           ///< "conv2d"
  virtual std::string describe() const { return {}; }  ///< "3x3 16->32 stride 2 pad 1"
  /// Throws: InputError when the inputs do not fit.
  virtual Shape output_shape(std::span<const Shape> inputs) const = 0;
  virtual std::vector<ParameterSpec> parameters() const { return {}; }
  /// Whether the output is >= 0 for sure, given what is known of the inputs (relu: always; pooling: as its input).
  virtual bool non_negative([[maybe_unused]] std::span<const bool> inputs) const { return false; }
  /// Runs and records the operator. `parameters` in the order of parameters(); running statistics are updated in place.
  virtual Var apply(std::span<const Var> inputs, std::span<Var> parameters, const RunContext& context) const = 0;
};
using OpPtr = std::shared_ptr<const Op>;

struct Parameter {
  std::string name;  ///< state-dict name: "layer1.0.conv1.weight"
  Role role;
  Var var;
};

struct Node {
  std::string name;  ///< "layer1.0.conv1"
  OpPtr op;
  std::vector<int> inputs;      ///< node indices, all smaller than this node's
  std::vector<int> parameters;  ///< indices into Network::parameters()
  Shape shape;                  ///< of the output for one image: [H, W, 1, C]
};

/// A chain of nodes from the image (node 0, op "input") to the logits (the last node, [1, 1, N, classes]).
/// Copies share the parameters (replace() changes one copy alone); clone() has its own.
class Network {
 public:
  /// Images of `channels` x `height` x `width`.
  Network(std::string name, int64_t height, int64_t width, int64_t channels, int classes);

  /// Appends a node and creates its parameters (zero; see initialize()). Returns its index.
  /// Throws: InputError if the name is taken or the shapes do not fit.
  int add(const std::string& name, OpPtr op, std::vector<int> inputs);
  /// Puts another operator with the same output shape and parameters in the place of a node's (quantization does this).
  void replace(int node, OpPtr op);

  const std::string& name() const { return name_; }
  int classes() const { return classes_; }
  const Shape& input_shape() const { return nodes_[0].shape; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  std::vector<Parameter>& parameters() { return parameters_; }
  const Parameter* find_parameter(std::string_view name) const;
  /// The convolutions (ops "conv2d" and those that replaced one) in order of execution: the layers of a bit list.
  std::vector<int> convolutions() const;
  /// Whether the output of a node is >= 0 for every image.
  bool non_negative(int node) const;
  int64_t parameter_count() const;  ///< trainable numbers

  /// Weights: Kaiming normal, fan out (convolutions), uniform +-1/sqrt(fan in) (linear); scales and variances 1, the
  /// rest 0.
  void initialize(uint64_t seed);
  /// Throws: InputError unless x is [H][W][N][C] with the height, width and channels of input_shape().
  void check_input(const Tensor& x) const;
  /// x: [H][W][N][C] float (double runs too, unfused, for checks). Returns the logits [1][1][N][classes], float (of
  /// double: double). Throws: InputError as check_input().
  Var forward(const Tensor& x, const RunContext& context);
  /// A copy with its own parameters (operators are shared; they are immutable).
  Network clone() const;

 private:
  std::string name_;
  int classes_;
  std::vector<Node> nodes_;
  std::vector<Parameter> parameters_;
};

}  // namespace kronbit::nn
