// bits.json: a bit list with the names of its layers, so that it cannot be put on another network by accident.
#pragma once

#include <filesystem>

#include "quant/assign.h"

namespace kronbit::quant {

/// Writes {"schema", "network", "mode", "block", "activations", "text", "layers": [{"name", "bits"}]} atomically.
/// Throws: InputError when the list does not fit the network or the folder cannot be written to, Error when writing
///         fails.
void write_bits_file(const std::filesystem::path& path, const nn::Network& net, const Assignment& assignment);

/// How the file's bits are meant, for whatever network. Throws: InputError when the file is not such a file.
AssignOptions read_bits_options(const std::filesystem::path& path);

/// Throws: InputError when the file is not such a file, is for another network, or names other layers in another order.
Assignment read_bits_file(const std::filesystem::path& path, const nn::Network& net);

}  // namespace kronbit::quant
