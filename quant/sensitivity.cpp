#include "quant/sensitivity.h"

#include <algorithm>
#include <cmath>

#include "data/loader.h"
#include "nn/layers.h"
#include "nn/ops/conv2d_products.h"
#include "tensor/base/stopped.h"

namespace kronbit::quant {
namespace {

constexpr const char* kSchema = "kronbit.sensitivity/1";

/// Logits of all images, one row each.
using Logits = std::vector<float>;

std::vector<Tensor> normalized(const data::Dataset& images, const data::Normalization& normalization, int64_t batch) {
  data::Loader loader(images, normalization, {.batch_size = batch, .seed = 0, .training = false});
  std::vector<Tensor> batches;
  for (int64_t i = 0; i < loader.batches(); ++i) batches.push_back(loader.batch(0, i).images);
  return batches;
}

Logits logits_of(nn::Network& net, const std::vector<Tensor>& batches, const nn::RunContext& context,
                 const std::string& what) {
  Logits all;
  for (const Tensor& images : batches) {
    const std::vector<float> logits = net.forward(images, context).value().values();
    all.insert(all.end(), logits.begin(), logits.end());
  }
  if (!std::all_of(all.begin(), all.end(), [](float z) { return std::isfinite(z); }))
    throw NumericalError(fmt::format("[sensitivity] the logits with {} are not finite", what));
  return all;
}

double mean_squared_change(const Logits& before, const Logits& after) {
  double sum = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    const double change = static_cast<double>(after[i]) - static_cast<double>(before[i]);
    sum += change * change;
  }
  return sum / static_cast<double>(before.size());
}

/// ln sum_k exp(z_k)
double log_sum_exp(std::span<const float> z) {
  const double most = static_cast<double>(*std::max_element(z.begin(), z.end()));
  double sum = 0;
  for (const float value : z) sum += std::exp(static_cast<double>(value) - most);
  return most + std::log(sum);
}

double mean_divergence(const Logits& before, const Logits& after, size_t classes) {
  double sum = 0;
  for (size_t at = 0; at < before.size(); at += classes) {
    const std::span<const float> z(&before[at], classes), z_after(&after[at], classes);
    const double scale = log_sum_exp(z), scale_after = log_sum_exp(z_after);
    for (size_t k = 0; k < classes; ++k) {
      const double log_p = static_cast<double>(z[k]) - scale, log_q = static_cast<double>(z_after[k]) - scale_after;
      sum += std::exp(log_p) * (log_p - log_q);
    }
  }
  return std::max(0.0, sum / static_cast<double>(before.size() / classes));  // rounding may leave -1e-17
}

std::vector<double> eight_numbers(const Json& layer, std::string_view key, std::string_view where) {
  std::vector<double> row = get_numbers(layer, key, 0, 1e300, where);
  if (row.size() != kMaxBits) input_error(where, "{}: wanted {} numbers, got {}", key, kMaxBits, row.size());
  return row;
}

}  // namespace

Json to_json(const Sensitivity& table) {
  Json layers = Json::array();
  for (size_t l = 0; l < table.layers.size(); ++l)
    layers.push_back({{"name", table.layers[l]}, {"mse", table.mse[l]}, {"kl", table.kl[l]}});
  return {{"schema", kSchema},
          {"network", table.network},
          {"mode", name_of(table.options.mode)},
          {"block", table.options.block},
          {"activations", table.options.activations},
          {"images", table.images},
          {"layers", layers}};
}

Sensitivity sensitivity_from_json(const Json& json, std::string_view where) {
  const std::string schema = get_string(json, "schema", where);
  if (schema != kSchema) input_error(where, "schema: wanted {}, got {}", kSchema, schema);
  Sensitivity table;
  table.network = get_string(json, "network", where);
  table.options.mode = parse_mode(get_string(json, "mode", where));
  table.options.block = get_int(json, "block", 1, 65536, where);
  table.options.activations = get_bool(json, "activations", where);
  table.images = get_int(json, "images", 1, INT64_MAX, where);
  for (const Json& layer : get_array(json, "layers", where)) {
    table.layers.push_back(get_string(layer, "name", where));
    table.mse.push_back(eight_numbers(layer, "mse", where));
    table.kl.push_back(eight_numbers(layer, "kl", where));
  }
  return table;
}

Sensitivity measure_sensitivity(const nn::Network& net, const data::Dataset& images,
                                const data::Normalization& normalization, const SensitivityOptions& options) {
  if (images.size() < 1) input_error("sensitivity", "images: wanted one or more, got none");
  if (images.height() != net.input_shape()[0] || images.width() != net.input_shape()[1])
    input_error("sensitivity", "images: the network takes {}x{}, the data has {}x{}", net.input_shape()[0],
                net.input_shape()[1], images.height(), images.width());
  const std::vector<Tensor> batches = normalized(images, normalization, options.batch);
  const std::vector<int> nodes = net.convolutions();
  const auto classes = static_cast<size_t>(net.classes());

  Sensitivity table{.network = net.name(), .options = options.assign, .images = images.size()};
  for (const nn::ConvInfo& layer : nn::conv_layers(net)) table.layers.push_back(layer.name);
  table.mse.assign(nodes.size(), std::vector<double>(kMaxBits));
  table.kl = table.mse;

  nn::Network probe = net.clone();
  remove_bits(probe);
  const int64_t passes = 1 + kMaxBits * std::ssize(nodes);
  int64_t done = 0;
  const auto pass = [&](nn::ConvWeightCache& weights, const std::string& what) {
    if (options.stop && *options.stop) throw Stopped("[sensitivity] stopped");
    const nn::RunContext context{.precision = options.precision, .weights = &weights};
    Logits logits = logits_of(probe, batches, context, what);
    if (options.progress) options.progress(++done, passes);
    return logits;
  };
  nn::ConvWeightCache plain_weights;
  const Logits plain = pass(plain_weights, "no layer quantized");
  for (int b = kMinBits; b <= kMaxBits; ++b) {
    nn::Network donor = probe.clone();  // its operators live as long as the cache that knows them by their addresses
    assign_bits(donor, Bits(nodes.size(), b), options.assign);
    nn::ConvWeightCache weights;
    for (size_t l = 0; l < nodes.size(); ++l) {
      const nn::OpPtr original = probe.nodes()[static_cast<size_t>(nodes[l])].op;
      probe.replace(nodes[l], donor.nodes()[static_cast<size_t>(nodes[l])].op);
      const Logits changed = pass(weights, fmt::format("{} at {} bits", table.layers[l], b));
      probe.replace(nodes[l], original);
      table.mse[l][static_cast<size_t>(b - 1)] = mean_squared_change(plain, changed);
      table.kl[l][static_cast<size_t>(b - 1)] = mean_divergence(plain, changed, classes);
    }
  }
  return table;
}

void assign_some_bits(nn::Network& net, std::span<const int> bits_or_zero, const AssignOptions& options) {
  Bits bits(bits_or_zero.begin(), bits_or_zero.end());
  for (int& b : bits) b = b == 0 ? kMaxBits : b;
  assign_bits(net, bits, options);
  const std::vector<int> nodes = net.convolutions();
  for (size_t l = 0; l < nodes.size(); ++l) {
    if (bits_or_zero[l] != 0) continue;
    const auto* conv = dynamic_cast<const nn::Convolution*>(net.nodes()[static_cast<size_t>(nodes[l])].op.get());
    KB_CHECK(conv != nullptr);
    net.replace(nodes[l], std::make_shared<nn::Conv2d>(nn::Conv2dOptions(conv->options())));
  }
}

}  // namespace kronbit::quant
