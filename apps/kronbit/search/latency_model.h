// How long one image takes on a machine, for any bits: the part of a profile (kronbit profile) that search and rank
// use.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "nn/layers.h"
#include "tensor/bits.h"
#include "tensor/io/json.h"

namespace kronbit::app {

/// What a profile calls itself, under "kronbit.profile": its version.
inline constexpr const char* kProfileKey = "kronbit.profile";
inline constexpr int kProfileVersion = 1;

/// Formula:  latency(bits) = rest + sum over layers l of microseconds[l][bits_l - 1]
struct LatencyModel {
  double rest = 0;                                ///< microseconds: all that is no convolution
  std::vector<std::vector<double>> microseconds;  ///< [layer][bits - 1]

  bool known() const { return !microseconds.empty(); }
  double milliseconds(const Bits& bits) const;

  /// Single images from a profile. Throws: InputError when the file is no profile, not one of this network (name, size
  /// of the images, names of the layers), or lacks single images or some number of bits.
  static LatencyModel read(const std::filesystem::path& path, const nn::Network& net);
};

/// As it is kept in a journal.
Json to_json(const LatencyModel& model);
LatencyModel latency_from_json(const Json& json, std::string_view where);

}  // namespace kronbit::app
