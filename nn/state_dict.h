// Weights in and out: the parameters of a network as a safetensors file, under the names PyTorch gives them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "nn/network.h"
#include "tensor/io/safetensors.h"

namespace kronbit::nn {

/// Fills every parameter of `net` from `file`, matching by name after canonical_name() (nn/state_dict_names.h). A bias
/// of a convolution that a batch normalization alone reads is taken into that one's running mean:
/// (x + b) - mean = x - (mean - b). `net` stays as it was when anything is wrong.
/// Throws:   InputError listing the missing, surplus and misshaped tensors in one line; InputError naming tensor and
///           index for a number that is not finite or a negative variance.
/// Exactness: F32 files bit for bit, but for running means that took in a bias.
void load_state_dict(Network& net, const SafetensorsFile& file);
void load_state_dict(Network& net, const std::filesystem::path& path);

/// Writes every parameter, and `metadata` besides the keys of own_metadata() and `format` = "pt", atomically.
/// Throws: InputError when the folder cannot be written to, Error when writing fails.
void save_state_dict(const Network& net, const std::filesystem::path& path,
                     const std::map<std::string, std::string>& metadata = {});

/// What every weights file and checkpoint of ours says: `kronbit.weights` = "1", `network`, `classes`, `input_size`.
std::map<std::string, std::string> own_metadata(const Network& net);

/// What a weights file says about itself. Files of other programs say nothing, whatever keys they have: only a file
/// with the key `kronbit.weights` is believed, or one with a `network` that build() knows and a number of `classes`.
struct WeightsInfo {
  std::string network;                   ///< name for build(); "" when not said
  int classes = 0;                       ///< 0 when not said
  int64_t input_size = 0;                ///< height and width of the images; 0 when not said
  std::string normalization;             ///< text for data::parse_normalization(); "" when not said
  std::vector<std::string> class_names;  ///< one per class; empty when not said
};
/// Throws: InputError when `classes` or `input_size` is no such number, or `class_names` not a JSON list of as many
/// names.
WeightsInfo weights_info(const SafetensorsFile& file);

/// Classes that the tensors of `file` are for: rows of the weight of the last linear layer of `net`; 0 when it is not
/// in there.
int classes_of(const SafetensorsFile& file, const Network& net);

}  // namespace kronbit::nn
