#include "quant/size.h"

#include "quant/quantizer.h"
#include "tensor/io/text.h"

namespace kronbit::quant {
namespace {

// The one of `all` with this name. Throws: InputError listing the names.
template <class T>
T parse_name(std::string_view text, std::string_view what, std::initializer_list<T> all) {
  std::string names;
  for (T value : all) {
    if (text == name_of(value)) return value;
    names += (names.empty() ? "" : ", ") + std::string(name_of(value));
  }
  input_error(what, "wanted one of {}, got {}", names, quote(text));
}

}  // namespace

const char* name_of(SizeRule rule) {
  switch (rule) {
    case SizeRule::Paper:
      return "paper";
    case SizeRule::Payload:
      return "payload";
    case SizeRule::Packed:
      return "packed";
  }
  return "?";
}

const char* name_of(MultiplierFormat format) {
  switch (format) {
    case MultiplierFormat::Auto:
      return "auto";
    case MultiplierFormat::F16:
      return "f16";
    case MultiplierFormat::BF16:
      return "bf16";
    case MultiplierFormat::F32:
      return "f32";
  }
  return "?";
}

SizeRule parse_size_rule(std::string_view text) {
  return parse_name(text, "size rule", {SizeRule::Paper, SizeRule::Payload, SizeRule::Packed});
}

MultiplierFormat parse_multiplier_format(std::string_view text) {
  using enum MultiplierFormat;
  return parse_name(text, "multipliers", {Auto, F16, BF16, F32});
}

double SizeReport::percent_of_fp32() const {
  return weights == 0 ? 0 : 100.0 * static_cast<double>(bytes) / (4.0 * static_cast<double>(weights));
}

int64_t plane_bytes(const nn::ConvInfo& layer, int bits, int64_t block) {
  const int64_t whole = layer.in_channels / block, rest = layer.in_channels % block;
  const int64_t per_plane = whole * ((block + 7) / 8) + (rest + 7) / 8;
  return layer.out_channels * layer.kernel_h * layer.kernel_w * bits * per_plane;
}

int64_t multiplier_count(const nn::ConvInfo& layer, int64_t block) {
  return layer.out_channels * layer.kernel_h * layer.kernel_w * ((layer.in_channels + block - 1) / block);
}

SizeReport size_of(std::span<const nn::ConvInfo> layers, const Bits& bits, SizeRule rule, int64_t block,
                   MultiplierFormat format) {
  check_bits("size", bits, static_cast<int64_t>(layers.size()));
  check_block(block);
  SizeReport report{.bits = bits};
  int64_t payload_bits = 0, packed_bytes = 0;
  for (size_t l = 0; l < layers.size(); ++l) {
    const nn::ConvInfo& layer = layers[l];
    report.total_bits += bits[l];
    report.weights += layer.weights();
    report.bops += layer.macs() * bits[l] * bits[l];
    payload_bits += layer.weights() * bits[l];
    packed_bytes += plane_bytes(layer, bits[l], block) + multiplier_count(layer, block) * bytes_of(format);
  }
  switch (rule) {
    case SizeRule::Paper:
      report.bytes = (2 * payload_bits + report.weights + 15) / 16;
      break;
    case SizeRule::Payload:
      report.bytes = (payload_bits + 7) / 8;
      break;
    case SizeRule::Packed:
      report.bytes = packed_bytes;
      break;
  }
  return report;
}

}  // namespace kronbit::quant
