// A network that has been quantized for good: bit planes and multipliers for the convolutions, a scale and a shift per
// channel for batch norm, FP32 linear layers; as one safetensors file and as a network that runs.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "quant/assign.h"
#include "quant/packed_conv2d.h"
#include "tensor/io/safetensors.h"

namespace kronbit::quant {

inline constexpr int64_t kMaxInputSize = 1024;  ///< of images; an activation of 64 channels then takes 256 MB

struct PackOptions {
  MultiplierFormat multipliers = MultiplierFormat::Auto;
  std::vector<std::string> class_names = {};  ///< none, or one per class
  std::string normalization = {};             ///< text for data::parse_normalization(); "" when not known
};

/// The file, all little-endian: metadata and tensors.
///
///   kronbit.layout  "1"                      <conv>.weight_packed  U8 [O, kh, kw, plane bytes of a position]
///   network         "resnet20"               <conv>.weight_scale   F16 | BF16 | F32 [O, kh, kw, blocks]
///   classes         "10"                     <batch norm>.scale    F32 [C]
///   class_names     JSON list (optional)     <batch norm>.shift    F32 [C]
///   input_size      "32"                     <linear>.weight       F32 [O, I]
///   normalization   "R,G,B/R,G,B" (optional) <linear>.bias         F32 [O]
///   bits            "666 5555 ..."
///   block, mode, activations ("quantized" or "fp32")
///   layers          JSON list: names of the convolutions in order
///
/// Planes and multipliers are laid out as packed_layer.h draws them.
class PackedNetwork {
 public:
  /// Throws: InputError "[path] ..." for anything that is not such a file, whole and consistent.
  static PackedNetwork load(const std::filesystem::path& path);
  static PackedNetwork parse(const SafetensorsFile& file);
  /// Atomically. Throws: InputError when the folder cannot be written to, Error when writing fails.
  void save(const std::filesystem::path& path) const { writer().publish(path); }
  /// Whether a file calls itself packed: it has the key kronbit.layout.
  static bool is_packed(const SafetensorsFile& file) { return file.metadata().contains("kronbit.layout"); }
  SafetensorsWriter writer() const;

  const std::string& network_name() const { return network_; }
  int classes() const { return classes_; }
  const std::vector<std::string>& class_names() const { return class_names_; }  ///< empty when not known
  const std::string& normalization() const { return normalization_; }           ///< "" when not known
  int64_t input_size() const { return input_size_; }                            ///< height and width of the images
  const Bits& bits() const { return assignment_.bits; }
  const Assignment& assignment() const { return assignment_; }
  const std::vector<std::shared_ptr<const PackedLayer>>& layers() const { return layers_; }
  /// Bytes of planes and multipliers: what size_of(..., SizeRule::Packed) reports.
  int64_t conv_bytes() const;

  /// The network, runnable with Network::forward on batches.
  nn::Network network(PackedKernel kernel = PackedKernel::Dequantized) const;

 private:
  friend PackedNetwork pack(const nn::Network& net, const PackOptions& options);
  nn::Network skeleton() const;
  void read_metadata(const SafetensorsFile& file);
  void check_linear_layers(const SafetensorsFile& file) const;
  void read_layers(const SafetensorsFile& file, const nn::Network& net);
  void read_parameters(const SafetensorsFile& file, const nn::Network& net);

  std::string network_;
  int classes_ = 0;
  std::vector<std::string> class_names_;
  std::string normalization_;
  int64_t input_size_ = 0;
  Assignment assignment_;
  std::vector<std::shared_ptr<const PackedLayer>> layers_;
  std::map<std::string, Tensor> parameters_;  ///< all but the convolutions' weights
};

/// Packs a network on which assign_bits() has put bits. Its FP32 weights are quantized once more, as in its forward
/// pass, then the multipliers are rounded to their format.
/// Throws: InputError for a network without bits, one that nn::build() cannot make again, a multiplier that does not
///         fit its format, class names of a wrong number or form, or parameters that are not finite.
/// Exactness: with F32 multipliers the dequantized weights are those of the forward pass, bit for bit.
PackedNetwork pack(const nn::Network& net, const PackOptions& options = {});

}  // namespace kronbit::quant
