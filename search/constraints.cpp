#include "search/constraints.h"

#include <fnmatch.h>

#include <algorithm>
#include <cstdlib>

#include "search/space.h"
#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

/// The non-empty pieces of `text` between commas.
std::vector<std::string> pieces(std::string_view where, std::string_view text) {
  std::vector<std::string> result;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma == at) input_error(where, "wanted names or patterns separated by commas, got \"{}\"", text);
    result.emplace_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return result;
}

std::vector<size_t> matching_layers(std::string_view where, const std::string& pattern,
                                    const std::vector<std::string>& layers) {
  std::vector<size_t> matches;
  for (size_t layer = 0; layer < layers.size(); ++layer)
    if (fnmatch(pattern.c_str(), layers[layer].c_str(), 0) == 0) matches.push_back(layer);
  if (matches.empty())
    input_error(where, "\"{}\": wanted a pattern that names a convolution layer ({} .. {}), got none", pattern,
                layers.front(), layers.back());
  return matches;
}

}  // namespace

bool Limits::allow(const Cost& cost) const {
  return (max_bytes == 0.0 || cost.bytes <= max_bytes) && (max_bops == 0.0 || cost.bops <= max_bops) &&
         (max_average_bits == 0.0 || cost.average_bits <= max_average_bits) &&
         (max_milliseconds == 0.0 || cost.milliseconds <= max_milliseconds);
}

bool Limits::any() const {
  return max_bytes > 0.0 || max_average_bits > 0.0 || max_bops > 0.0 || max_milliseconds > 0.0;
}

void Constraints::add_fix(std::string_view text) {
  for (const std::string& piece : pieces("fix", text)) {
    const size_t equals = piece.rfind('=');
    const bool good = equals != std::string::npos && equals > 0 && equals + 2 == piece.size() &&
                      piece.back() >= '0' + kMinBits && piece.back() <= '0' + kMaxBits;
    if (!good) input_error("fix", "wanted LAYER=BITS with bits 1..8, such as conv1=8, got \"{}\"", piece);
    fix.emplace_back(piece.substr(0, equals), piece.back() - '0');
  }
}

void Constraints::set_choices(std::string_view text) {
  choices.clear();
  for (const std::string& piece : pieces("choices", text)) {
    if (piece.size() != 1 || piece[0] < '0' + kMinBits || piece[0] > '0' + kMaxBits)
      input_error("choices", "wanted numbers of bits 1..8 separated by commas, such as 2,4,8, got \"{}\"", piece);
    choices.push_back(piece[0] - '0');
  }
}

void Constraints::add_tie(std::string_view text) { ties.push_back(pieces("tie", text)); }

LayerRules::LayerRules(const Constraints& constraints, const std::vector<std::string>& layers)
    : fixed_(layers.size(), 0) {
  const int least = constraints.bits_min, most = constraints.bits_max;
  if (least < kMinBits || most > kMaxBits || least > most)
    input_error("bits", "range: wanted 1 <= --bits-min <= --bits-max <= 8, got {}..{}", least, most);
  const std::vector<int>& choices = constraints.choices;
  for (int b = least; b <= most; ++b)
    if (choices.empty() || std::find(choices.begin(), choices.end(), b) != choices.end()) allowed_.push_back(b);
  if (allowed_.empty()) input_error("choices", "wanted bits within {}..{}, got none of them", least, most);
  KB_CHECK(!layers.empty());
  std::vector<bool> tied(layers.size(), false);
  for (const std::vector<std::string>& patterns : constraints.ties) {
    std::vector<size_t> group;
    for (const std::string& pattern : patterns)
      for (const size_t layer : matching_layers("tie", pattern, layers))
        if (std::find(group.begin(), group.end(), layer) == group.end()) group.push_back(layer);
    for (const size_t layer : group) {
      if (tied[layer]) input_error("tie", "layer {}: wanted at most one tie, got two", layers[layer]);
      tied[layer] = true;
    }
    ties_.push_back(std::move(group));
  }
  for (const auto& [pattern, bits] : constraints.fix)
    for (const size_t layer : matching_layers("fix", pattern, layers)) {
      if (tied[layer]) input_error("fix", "layer {}: wanted fixed or tied, got both", layers[layer]);
      if (fixed_[layer] != 0 && fixed_[layer] != bits)
        input_error("fix", "layer {}: wanted one number of bits, got {} and {}", layers[layer], fixed_[layer], bits);
      fixed_[layer] = bits;
    }
}

Bits LayerRules::apply(Bits bits) const {
  KB_CHECK_EQ(bits.size(), fixed_.size());
  for (const std::vector<size_t>& group : ties_) {
    int sum = 0;
    for (const size_t layer : group) sum += bits[layer];
    const int count = static_cast<int>(group.size());
    for (const size_t layer : group) bits[layer] = (2 * sum + count) / (2 * count);
  }
  for (size_t layer = 0; layer < bits.size(); ++layer) {
    int nearest = allowed_[0];
    for (const int b : allowed_)
      if (std::abs(b - bits[layer]) <= std::abs(nearest - bits[layer])) nearest = b;
    bits[layer] = fixed_[layer] != 0 ? fixed_[layer] : nearest;
  }
  return bits;
}

std::vector<std::vector<size_t>> LayerRules::groups() const {
  std::vector<std::vector<size_t>> groups = ties_;
  std::vector<bool> tied(fixed_.size(), false);
  for (std::vector<size_t>& group : groups) {
    std::sort(group.begin(), group.end());
    for (const size_t layer : group) tied[layer] = true;
  }
  for (size_t layer = 0; layer < fixed_.size(); ++layer)
    if (!tied[layer]) groups.push_back({layer});
  std::sort(groups.begin(), groups.end());
  return groups;
}

}  // namespace kronbit::search
