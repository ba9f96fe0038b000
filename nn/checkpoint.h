// A training run at rest: weights, statistics, the optimiser's state and the counters in one safetensors file, so that
// they can never disagree. Loading one and going on gives the same numbers as never having stopped.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "nn/network.h"

namespace kronbit::nn {

/// Everything of a run besides the network's parameters.
struct Checkpoint {
  std::map<std::string, Tensor> optimiser_state;  ///< F32, by names the optimiser chose
  std::map<std::string, std::string> meta;        ///< epoch, step, seed, schedule, normalization ... as text
};

/// Replaces `path` atomically. The file is a state dict too: load_state_dict() takes the weights alone.
/// Requires: `meta` has no key of own_metadata() and none named format.
/// Throws:   InputError when the folder cannot be written to, Error when writing fails; the old file stays.
void save_checkpoint(const std::filesystem::path& path, const Network& net,
                     const std::map<std::string, Tensor>& optimiser_state,
                     const std::map<std::string, std::string>& meta);

/// Fills `net` and returns the rest, bit for bit as it was saved.
/// Throws: InputError when the file is not a checkpoint of this network; `net` stays as it was.
Checkpoint load_checkpoint(const std::filesystem::path& path, Network& net);

}  // namespace kronbit::nn
