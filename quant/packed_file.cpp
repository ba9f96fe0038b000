// Packed networks in files. Every number is checked before it is used: counts against the network, bytes against
// counts, padding bits against zero.
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <span>

#include "data/normalization.h"
#include "nn/layers.h"
#include "nn/models/models.h"
#include "quant/packed.h"
#include "tensor/io/json.h"
#include "tensor/io/limits.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"
#include "tensor/parallel.h"

namespace kronbit::quant {
namespace {

constexpr const char* kLayout = "1";

const std::string& value_of(const SafetensorsFile& file, const std::string& key) {
  const auto it = file.metadata().find(key);
  if (it == file.metadata().end()) input_error(file.name(), "wanted a packed network, got no {} in the metadata", key);
  return it->second;
}

std::string optional_value(const SafetensorsFile& file, const std::string& key) {
  const auto it = file.metadata().find(key);
  return it == file.metadata().end() ? std::string() : it->second;
}

std::string json_of(const std::vector<std::string>& names) { return dump_line(Json(names)); }

// The tensor, of the wanted shape. Throws: InputError.
const TensorInfo& tensor_of(const SafetensorsFile& file, const std::string& name, const std::vector<int64_t>& shape) {
  const TensorInfo* info = file.find(name);
  if (info == nullptr) input_error(file.name(), "{}: missing", name);
  if (info->shape != shape)
    input_error(file.name(), "{}: wanted {}, got {}", name, Shape(shape).text(),
                fmt::format("[{}]", fmt::join(info->shape, ", ")));
  return *info;
}

MultiplierFormat format_of(const TensorInfo& info, const std::string& where) {
  switch (info.dtype) {
    case StDType::F16:
      return MultiplierFormat::F16;
    case StDType::BF16:
      return MultiplierFormat::BF16;
    case StDType::F32:
      return MultiplierFormat::F32;
    default:
      input_error(where, "{}: wanted F16, BF16 or F32, got {}", info.name, name_of(info.dtype));
  }
}

StDType dtype_of_multipliers(MultiplierFormat format) {
  return format == MultiplierFormat::F16    ? StDType::F16
         : format == MultiplierFormat::BF16 ? StDType::BF16
                                            : StDType::F32;
}

PackedLayer read_layer(const SafetensorsFile& file, const nn::ConvInfo& conv, int bits, const AssignOptions& options) {
  PackedLayer layer;
  layer.name = conv.name;
  layer.shape = Shape({conv.out_channels, conv.in_channels, conv.kernel_h, conv.kernel_w});
  layer.bits = bits;
  layer.mode = mode_at(options.mode, bits);
  layer.block = options.block;
  const TensorInfo& planes = tensor_of(file, conv.name + ".weight_packed",
                                       {conv.out_channels, conv.kernel_h, conv.kernel_w, layer.position_bytes()});
  if (planes.dtype != StDType::U8)
    input_error(file.name(), "{}: wanted U8, got {}", planes.name, name_of(planes.dtype));
  layer.planes = raw_values<uint8_t>(planes);
  if (!padding_is_zero(layer)) input_error(file.name(), "{}: the bits beyond the channels are not 0", planes.name);
  const TensorInfo& scale =
      tensor_of(file, conv.name + ".weight_scale", {conv.out_channels, conv.kernel_h, conv.kernel_w, layer.blocks()});
  layer.format = format_of(scale, file.name());
  layer.multipliers = to_floats(scale, file.name());
  return layer;
}

}  // namespace

PackedNetwork PackedNetwork::load(const std::filesystem::path& path) { return parse(SafetensorsFile::open(path)); }

PackedNetwork PackedNetwork::parse(const SafetensorsFile& file) {
  PackedNetwork packed;
  try {
    packed.read_metadata(file);
    packed.check_linear_layers(file);
    const nn::Network net = packed.skeleton();
    packed.read_layers(file, net);
    packed.read_parameters(file, net);
  } catch (const InputError& e) {  // of the helpers, which do not know the file
    const std::string start = "[" + file.name() + "]";
    if (std::string_view(e.what()).starts_with(start)) throw;
    throw InputError(start + " " + e.what());
  }
  return packed;
}

void PackedNetwork::read_metadata(const SafetensorsFile& file) {
  if (const std::string& layout = value_of(file, "kronbit.layout"); layout != kLayout)
    input_error(file.name(), "kronbit.layout: wanted {}, got {}", kLayout, quote(layout));
  network_ = value_of(file, "network");
  classes_ = static_cast<int>(parse_int(value_of(file, "classes"), 1, kMaxClasses, "classes"));
  input_size_ = parse_int(value_of(file, "input_size"), 8, kMaxInputSize, "input_size");
  normalization_ = optional_value(file, "normalization");
  if (!normalization_.empty()) data::parse_normalization(normalization_);
  if (const std::string names = optional_value(file, "class_names"); !names.empty()) {
    class_names_ = parse_names(names, "class_names");
    if (class_names_.size() != static_cast<size_t>(classes_))
      input_error(file.name(), "class_names: wanted {}, got {}", classes_, class_names_.size());
    for (const std::string& name : class_names_)
      if (has_control_characters(name) || name.size() > kMaxNameBytes)
        input_error(file.name(), "class_names: wanted at most {} printable bytes, got {}", kMaxNameBytes, quote(name));
  }
  assignment_.options.block = parse_int(value_of(file, "block"), 1, 65536, "block");
  assignment_.options.mode = parse_mode(value_of(file, "mode"));
  const std::string& activations = value_of(file, "activations");
  if (activations != "quantized" && activations != "fp32")
    input_error(file.name(), "activations: wanted quantized or fp32, got {}", quote(activations));
  assignment_.options.activations = activations == "quantized";
  // The classes decide how much memory the network takes: some tensor must have that many rows.
  const bool has_rows = std::any_of(file.tensors().begin(), file.tensors().end(),
                                    [&](const TensorInfo& t) { return !t.shape.empty() && t.shape[0] == classes_; });
  if (!has_rows) input_error(file.name(), "classes: wanted the rows of a linear layer, got {}", classes_);
}

// Behind a flatten, input_size decides how much memory a linear layer takes: the file must have all of it. Shapes are
// followed through the network for the smallest images, which takes little.
void PackedNetwork::check_linear_layers(const SafetensorsFile& file) const {
  constexpr int64_t kSmallest = 32;  // of nn::build()
  if (input_size_ <= kSmallest) return;
  const nn::Network small = nn::build(network_, {.classes = classes_, .input_size = kSmallest});
  std::vector<Shape> shapes = {Shape({input_size_, input_size_, 1, small.input_shape()[3]})};
  for (size_t i = 1; i < small.nodes().size(); ++i) {
    const nn::Node& node = small.nodes()[i];
    std::vector<Shape> inputs;
    for (int input : node.inputs) inputs.push_back(shapes[static_cast<size_t>(input)]);
    const bool linear = node.op->kind() == "linear";
    if (linear) tensor_of(file, node.name + ".weight", {node.shape[3], inputs[0][3]});
    shapes.push_back(linear ? node.shape : node.op->output_shape(inputs));
  }
}

void PackedNetwork::read_layers(const SafetensorsFile& file, const nn::Network& net) {
  const std::vector<nn::ConvInfo> convolutions = nn::conv_layers(net);
  const std::vector<std::string> names = parse_names(value_of(file, "layers"), "layers");
  if (names.size() != convolutions.size())
    input_error(file.name(), "layers: wanted {}, got {}", convolutions.size(), names.size());
  for (size_t l = 0; l < names.size(); ++l)
    if (names[l] != convolutions[l].name)
      input_error(file.name(), "layer {}: wanted {}, got {}", l + 1, convolutions[l].name, quote(names[l]));
  assignment_.bits = parse_bits(value_of(file, "bits"), static_cast<int64_t>(convolutions.size()));
  layers_.resize(convolutions.size());
  parallel_for(std::ssize(layers_), 1, [&](int64_t begin, int64_t) {
    const auto l = static_cast<size_t>(begin);
    layers_[l] =
        std::make_shared<PackedLayer>(read_layer(file, convolutions[l], assignment_.bits[l], assignment_.options));
  });
}

void PackedNetwork::read_parameters(const SafetensorsFile& file, const nn::Network& net) {
  for (const nn::Parameter& p : net.parameters()) {
    const Shape& shape = p.var.value().shape();
    if (shape.rank() == 4) continue;  // a convolution's weight
    const TensorInfo& info = tensor_of(file, p.name, shape.extents());
    if (info.dtype != StDType::F32) input_error(file.name(), "{}: wanted F32, got {}", p.name, name_of(info.dtype));
    parameters_.emplace(p.name, to_tensor(info, file.name()));
  }
  const size_t wanted = parameters_.size() + 2 * layers_.size();
  if (file.tensors().size() != wanted)
    input_error(file.name(), "tensors: wanted {}, got {}", wanted, file.tensors().size());
}

SafetensorsWriter PackedNetwork::writer() const {
  SafetensorsWriter writer;
  std::vector<std::string> names;
  for (const auto& layer : layers_) {
    const Shape& s = layer->shape;
    names.push_back(layer->name);
    writer.add(layer->name + ".weight_packed", StDType::U8, {s[0], s[2], s[3], layer->position_bytes()},
               std::as_bytes(std::span(layer->planes)));
    writer.add(layer->name + ".weight_scale", dtype_of_multipliers(layer->format), {s[0], s[2], s[3], layer->blocks()},
               encode_multipliers(*layer));
  }
  for (const auto& [name, tensor] : parameters_) writer.add(name, tensor);
  writer.set_metadata("kronbit.layout", kLayout);
  writer.set_metadata("network", network_);
  writer.set_metadata("classes", std::to_string(classes_));
  writer.set_metadata("input_size", std::to_string(input_size_));
  writer.set_metadata("bits", format_bits(assignment_.bits));
  writer.set_metadata("block", std::to_string(assignment_.options.block));
  writer.set_metadata("mode", name_of(assignment_.options.mode));
  writer.set_metadata("activations", assignment_.options.activations ? "quantized" : "fp32");
  writer.set_metadata("layers", json_of(names));
  if (!class_names_.empty()) writer.set_metadata("class_names", json_of(class_names_));
  if (!normalization_.empty()) writer.set_metadata("normalization", normalization_);
  return writer;
}

}  // namespace kronbit::quant
