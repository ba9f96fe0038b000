#include "apps/kronbit/search/latency_model.h"

#include "tensor/base/error.h"
#include "tensor/io/text.h"

namespace kronbit::app {
namespace {

constexpr double kMostMicroseconds = 1e12;
constexpr int64_t kMostProfileBytes = 16 << 20;

void check_network(const Json& json, const nn::Network& net, const std::string& where) {
  const std::string& name = get_string(json, "net", where);
  if (name != net.name()) input_error(where, "wanted a profile of {}, got one of {}", net.name(), quote(name));
  const int64_t size = get_int(json, "input_size", 1, 65536, where);
  if (size != net.input_shape()[0])
    input_error(where, "wanted a profile for images of {0} x {0}, got one for {1} x {1}", net.input_shape()[0], size);
  const auto layers = nn::conv_layers(net);
  const std::vector<std::string> names = get_strings(json, "layers", where);
  if (names.size() != layers.size())
    input_error(where, "layers: wanted {} of {}, got {}", layers.size(), net.name(), names.size());
  for (size_t l = 0; l < names.size(); ++l)
    if (names[l] != layers[l].name) input_error(where, "layers: wanted {}, got {}", layers[l].name, quote(names[l]));
}

void check_shape(const LatencyModel& model, std::string_view where) {
  constexpr int64_t wanted = kMaxBits - kMinBits + 1;
  if (!model.known()) input_error(where, "wanted times of layers, got none");
  for (const std::vector<double>& layer : model.microseconds)
    if (std::ssize(layer) != wanted)
      input_error(where, "wanted times of {} numbers of bits for every layer, got {}", wanted, layer.size());
}

}  // namespace

double LatencyModel::milliseconds(const Bits& bits) const {
  KB_CHECK_EQ(bits.size(), microseconds.size());
  double sum = rest;
  for (size_t l = 0; l < bits.size(); ++l) sum += microseconds[l][static_cast<size_t>(bits[l] - kMinBits)];
  return 1e-3 * sum;
}

LatencyModel LatencyModel::read(const std::filesystem::path& path, const nn::Network& net) {
  const std::string where = path.string();
  const Json json = read_json(path, kMostProfileBytes);
  if (!has(json, kProfileKey)) input_error(where, "wanted a file of kronbit profile, got another");
  const int64_t version = get_int(json, kProfileKey, 0, INT32_MAX, where);
  if (version != kProfileVersion)
    input_error(where, "wanted a profile of version {}, got {}", kProfileVersion, version);
  check_network(json, net, where);
  const int64_t least = get_int(json, "bits_min", kMinBits, kMaxBits, where);
  const int64_t most = get_int(json, "bits_max", kMinBits, kMaxBits, where);
  if (least > kMinBits || most < kMaxBits)
    input_error(where, "wanted times of {}..{} bits, got {}..{}", kMinBits, kMaxBits, least, most);
  LatencyModel model;
  for (const Json& batch : get_array(json, "batches", where)) {
    if (get_int(batch, "batch", 1, 1 << 20, where) != 1) continue;
    model.rest = get_number(batch, "rest_microseconds", 0, kMostMicroseconds, where);
    for (const Json& layer : get_array(batch, "layers", where)) {
      model.microseconds.emplace_back();
      for (const Json& cell : get_array(layer, "bits", where))
        model.microseconds.back().push_back(get_number(cell, "microseconds", 0, kMostMicroseconds, where));
    }
  }
  if (!model.known()) input_error(where, "wanted times of single images (kronbit profile --batch 1), got none");
  check_shape(model, where);
  if (model.microseconds.size() != net.convolutions().size())
    input_error(where, "wanted times of {} layers, got {}", net.convolutions().size(), model.microseconds.size());
  return model;
}

Json to_json(const LatencyModel& model) { return {{"rest", model.rest}, {"microseconds", model.microseconds}}; }

LatencyModel latency_from_json(const Json& json, std::string_view where) {
  LatencyModel model{get_number(json, "rest", 0, kMostMicroseconds, where), {}};
  for (const Json& row : get_array(json, "microseconds", where)) {
    model.microseconds.emplace_back();
    if (!row.is_array()) input_error(where, "microseconds: wanted lists of numbers, got another value");
    for (const Json& cell : row)
      model.microseconds.back().push_back(as_number(cell, 0, kMostMicroseconds, "microseconds", where));
  }
  check_shape(model, where);
  return model;
}

}  // namespace kronbit::app
