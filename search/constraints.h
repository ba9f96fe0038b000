// What the user wants of every configuration: bits of named layers, ties between layers, limits on the whole.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/bits.h"

namespace kronbit::search {

struct Cost;

/// Limits on the whole network; 0 = none.
struct Limits {
  double max_bytes = 0.0;
  double max_average_bits = 0.0;
  double max_bops = 0.0;
  double max_milliseconds = 0.0;
  bool allow(const Cost& cost) const;
  bool any() const;
};

/// Rules on single layers, applied to the bits that a curve has drawn, in this order: the layers of a tie share the
/// mean of their bits, rounded half up; every layer gets the nearest bits that are allowed (ties: the more); fixed
/// layers get their bits, whatever is allowed. Layers are named by shell patterns (* ? [abc]); * matches dots too.
struct Constraints {
  std::vector<std::pair<std::string, int>> fix;  ///< (pattern, bits)
  std::vector<std::vector<std::string>> ties;    ///< each a group of patterns
  int bits_min = kMinBits;
  int bits_max = kMaxBits;
  std::vector<int> choices;  ///< the only bits allowed within the range; empty = all of them

  /// "conv1=8,layer3*=2". Throws: InputError.
  void add_fix(std::string_view text);
  /// "layer*.conv2,layer*.shortcut*" (resnet18), "layer1.*.conv2" (resnet20): one group each. Throws: InputError.
  void add_tie(std::string_view text);
  /// "2,4,8". Throws: InputError.
  void set_choices(std::string_view text);
};

/// Constraints with the names of one network filled in.
class LayerRules {
 public:
  /// Throws: InputError when a pattern matches no layer, a layer is in two ties, fixed twice, or fixed and tied, or the
  ///         nothing is allowed.
  LayerRules(const Constraints& constraints, const std::vector<std::string>& layers);
  Bits apply(Bits bits) const;
  /// Layers that always have equal bits: the ties, and every other layer alone; by their first layers.
  std::vector<std::vector<size_t>> groups() const;
  /// Whether a search may change the bits of a layer.
  bool is_fixed(size_t layer) const { return fixed_[layer] != 0; }
  /// What layers that are not fixed may have, rising.
  const std::vector<int>& allowed() const { return allowed_; }

 private:
  std::vector<int> allowed_;
  std::vector<std::vector<size_t>> ties_;
  std::vector<int> fixed_;  // 0 = free
};

}  // namespace kronbit::search
