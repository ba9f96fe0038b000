// How other programs name the parameters of our networks: the table behind load_state_dict().
#pragma once

#include <string>
#include <string_view>

namespace kronbit::nn {

/// Whether a tensor of this name says nothing about the network: counters of batches, GoogLeNet's auxiliary heads, the
/// optimiser's state in our own checkpoints. `name` is a result of canonical_name().
bool is_ignored(std::string_view name);

/// `name` without the prefixes that wrappers add ("module.", "state_dict.", "model.", "_orig_mod."), and spelled as the
/// parameters of the named network are. Names that are ours already, and unknown ones, come back unchanged.
/// Example:  canonical_name("resnet18", "module.layer2.0.downsample.0.weight") == "layer2.0.shortcut.0.weight"
std::string canonical_name(std::string_view network, std::string name);

}  // namespace kronbit::nn
