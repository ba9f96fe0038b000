// Does a packed file hold what it says, and does it compute what it should?
#pragma once

#include <cmath>
#include <filesystem>
#include <string>

#include "quant/packed.h"

namespace kronbit::quant {

/// The exact engine adds as the reference does, up to the linear layer.
inline constexpr double kEngineTolerance = 1e-5;

/// Relative differences of a layer up to this are FP32 sums in another order; a wrong plane or multiplier is far above.
inline constexpr double kLayerTolerance = 1e-4;

struct Verification {
  int64_t images = 0;
  /// Per layer, both computations reading the same input: largest difference of an output / largest output.
  double layer_difference = 0;  ///< of the worst layer; infinite when an output is not finite
  std::string worst_layer;      ///< its name
  /// Of the logits, each computation reading its own activations. A difference that rounding makes can move a quantized
  /// activation by a whole step, and that travels: these tell of the network, not of the arithmetic.
  double largest_difference = 0;  ///< infinite when a logit is not finite
  double largest_logit = 0;       ///< in magnitude, of the reference: what the difference is to be seen against
  int64_t same_class = 0;         ///< images on which both name the same class
  /// Of the logits, exact engine against reference, relative; and whether the engine runs this file exactly (blocks of
  /// 32 channels): only then it counts.
  double engine_difference = 0;
  bool engine_exact = false;
  int64_t file_bytes = 0;  ///< planes and multipliers found in the file
  int64_t rule_bytes = 0;  ///< SizeRule::Packed, with the multipliers of each layer

  double relative_difference() const { return largest_logit > 0 ? largest_difference / largest_logit : 0; }
  bool good() const {
    return file_bytes == rule_bytes && layer_difference <= kLayerTolerance && std::isfinite(largest_difference) &&
           (!engine_exact || engine_difference <= kEngineTolerance);
  }
};

/// Counts the bytes of `path` and runs `images` through the dequantized path, the reference kernel and the engine.
/// Shapes: images [H][W][N][C] f32, normalized
/// Throws: InputError as PackedNetwork::load, and for images of another size
Verification verify(const std::filesystem::path& path, const Tensor& images);

}  // namespace kronbit::quant
