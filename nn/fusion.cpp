#include "nn/fusion.h"

namespace kronbit::nn {
namespace {

constexpr int kNone = -1;

/// For every node the one that reads its output, kNone where there are several (or the network's result).
std::vector<int> only_readers(const Network& net) {
  std::vector<int> reader(net.nodes().size(), kNone), count(net.nodes().size(), 0);
  for (size_t i = 1; i < net.nodes().size(); ++i) {
    for (int input : net.nodes()[i].inputs) {
      reader[static_cast<size_t>(input)] = static_cast<int>(i);
      ++count[static_cast<size_t>(input)];
    }
  }
  for (size_t i = 0; i < reader.size(); ++i)
    if (count[i] != 1) reader[i] = kNone;
  return reader;
}

class Fuser {
 public:
  Fuser(const Network& net, std::string_view norm)
      : net_(net), norm_(norm), reader_(only_readers(net)), is_convolution_(net.nodes().size(), 0) {
    for (int node : net.convolutions()) is_convolution_[static_cast<size_t>(node)] = 1;
  }

  /// The group that begins with a convolution, or that node alone.
  Step group(int conv) const {
    if (!is_convolution(conv)) return {.node = conv};
    const int norm = reader(conv);
    if (norm == kNone || kind(norm) != norm_) return {.node = conv};
    Step step{.node = norm, .conv = conv, .norm = norm};
    int next = reader(norm);
    if (next != kNone && kind(next) == "add" && first_branch(next) == norm) {
      const auto& inputs = net_.nodes()[static_cast<size_t>(next)].inputs;
      step.residual = inputs[0] == norm ? inputs[1] : inputs[0];
      step.node = next;
      next = reader(next);
    }
    if (next != kNone && kind(next) == "relu") {
      step.relu = true;
      step.node = next;
    }
    return step;
  }

 private:
  bool is_convolution(int node) const { return is_convolution_[static_cast<size_t>(node)] != 0; }
  std::string_view kind(int node) const { return net_.nodes()[static_cast<size_t>(node)].op->kind(); }
  int reader(int node) const { return reader_[static_cast<size_t>(node)]; }
  /// Of a sum's inputs that end a convolution and its normalization, the first: the sum goes to one of them.
  int first_branch(int sum) const {
    for (int input : net_.nodes()[static_cast<size_t>(sum)].inputs) {
      const auto& inputs = net_.nodes()[static_cast<size_t>(input)].inputs;
      if (reader(input) == sum && kind(input) == norm_ && is_convolution(inputs[0]) && reader(inputs[0]) == input)
        return input;
    }
    return kNone;
  }

  const Network& net_;
  std::string_view norm_;
  std::vector<int> reader_;
  std::vector<char> is_convolution_;
};

}  // namespace

std::vector<Step> steps(const Network& net, bool fused, std::string_view norm) {
  const Fuser fuser(net, norm);
  std::vector<Step> found(net.nodes().size());  // by the node whose output it is; node 0 is the image
  std::vector<char> inside(net.nodes().size(), 0);
  for (int i = 1; i < static_cast<int>(net.nodes().size()); ++i) {
    const Step step = fused ? fuser.group(i) : Step{.node = i};
    if (step.conv != kNone) {
      inside[static_cast<size_t>(step.conv)] = inside[static_cast<size_t>(step.norm)] = 1;
      if (step.relu && step.residual != kNone)
        inside[static_cast<size_t>(net.nodes()[static_cast<size_t>(step.node)].inputs[0])] = 1;
      inside[static_cast<size_t>(step.node)] = 0;
      found[static_cast<size_t>(step.node)] = step;
    } else if (found[static_cast<size_t>(i)].node == 0) {
      found[static_cast<size_t>(i)] = step;
    }
  }
  std::vector<Step> order;
  for (size_t i = 1; i < found.size(); ++i)
    if (!inside[i]) order.push_back(found[i]);
  return order;
}

}  // namespace kronbit::nn
