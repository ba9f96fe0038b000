// Does a packed file hold what it says, and does it compute what it should?
#pragma once

#include <filesystem>

#include "quant/packed.h"

namespace kronbit::quant {

struct Verification {
  int64_t images = 0;
  double largest_difference = 0;  ///< of a logit between the dequantized path and the reference
  double largest_logit = 0;       ///< in magnitude, of the reference: what the difference is to be seen against
  int64_t same_class = 0;         ///< images on which both name the same class
  int64_t file_bytes = 0;         ///< planes and multipliers found in the file
  int64_t rule_bytes = 0;         ///< SizeRule::Packed
  double relative_difference() const { return largest_logit > 0 ? largest_difference / largest_logit : 0; }
};

/// Counts the bytes of `path` and runs `images` through the dequantized path and the reference kernel.
/// Shapes: images [H][W][N][C] f32, normalized
/// Throws: InputError as PackedNetwork::load, and for images of another size
Verification verify(const std::filesystem::path& path, const Tensor& images);

}  // namespace kronbit::quant
