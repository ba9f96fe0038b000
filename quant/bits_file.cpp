#include "quant/bits_file.h"

#include "nn/layers.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/io/text.h"

namespace kronbit::quant {
namespace {

constexpr const char* kSchema = "kronbit.bits/1";

Json read_checked(const std::filesystem::path& path) {
  Json json = read_json(path);
  if (const std::string& schema = get_string(json, "schema", path.string()); schema != kSchema)
    input_error(path.string(), "schema: wanted {}, got {}", kSchema, quote(schema));
  return json;
}

AssignOptions options_of(const Json& json, const std::string& where) {
  AssignOptions options;
  options.mode = parse_mode(get_string(json, "mode", where));
  options.block = get_int(json, "block", 1, 65536, where);
  options.activations = get_bool(json, "activations", where);
  return options;
}

}  // namespace

void write_bits_file(const std::filesystem::path& path, const nn::Network& net, const Assignment& assignment) {
  const std::vector<nn::ConvInfo> layers = nn::conv_layers(net);
  check_bits(path.string(), assignment.bits, static_cast<int64_t>(layers.size()));
  Json json = {{"schema", kSchema},
               {"network", net.name()},
               {"mode", name_of(assignment.options.mode)},
               {"block", assignment.options.block},
               {"activations", assignment.options.activations},
               {"text", format_bits(assignment.bits)},
               {"layers", Json::array()}};
  for (size_t l = 0; l < layers.size(); ++l)
    json["layers"].push_back({{"name", layers[l].name}, {"bits", assignment.bits[l]}});
  publish(path, dump_pretty(json));
}

AssignOptions read_bits_options(const std::filesystem::path& path) {
  return options_of(read_checked(path), path.string());
}

Assignment read_bits_file(const std::filesystem::path& path, const nn::Network& net) {
  const std::string where = path.string();
  const Json json = read_checked(path);
  if (const std::string& network = get_string(json, "network", where); network != net.name())
    input_error(where, "network: wanted {}, got {}", net.name(), quote(network));

  Assignment assignment;
  assignment.options = options_of(json, where);
  const std::vector<nn::ConvInfo> layers = nn::conv_layers(net);
  const Json& list = get_array(json, "layers", where);
  if (list.size() != layers.size()) input_error(where, "layers: wanted {}, got {}", layers.size(), list.size());
  for (size_t l = 0; l < layers.size(); ++l) {
    const std::string& name = get_string(list[l], "name", where);
    if (name != layers[l].name) input_error(where, "layer {}: wanted {}, got {}", l + 1, layers[l].name, quote(name));
    assignment.bits.push_back(static_cast<int>(get_int(list[l], "bits", kMinBits, kMaxBits, where)));
  }
  return assignment;
}

}  // namespace kronbit::quant
