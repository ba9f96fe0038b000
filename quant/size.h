// How large a network is with given bits, by three rules, and what it costs to run.
#pragma once

#include <span>
#include <string_view>

#include "nn/layers.h"
#include "tensor/bits.h"
#include "tensor/tensor.h"

namespace kronbit::quant {

/// Bytes of the convolutions' weights: sum over layers l of P_l weights with b_l bits.
///   paper    sum P_l b_l / 8 + P / 16: one 16-bit multiplier for 32 weights
///   payload  sum P_l b_l / 8
///   packed   what a packed file really uses: whole bytes per plane of a block, and the multipliers
enum class SizeRule { Paper, Payload, Packed };
const char* name_of(SizeRule rule);  ///< "paper"
/// Throws: InputError listing the three names.
SizeRule parse_size_rule(std::string_view text);

/// How multipliers are stored. Auto: FP16 in layers where it keeps them, else BF16.
enum class MultiplierFormat { Auto, F16, BF16, F32 };
const char* name_of(MultiplierFormat format);  ///< "auto"
/// Throws: InputError listing the four names.
MultiplierFormat parse_multiplier_format(std::string_view text);
constexpr int64_t bytes_of(MultiplierFormat format) { return format == MultiplierFormat::F32 ? 4 : 2; }

struct SizeReport {
  Bits bits;
  int64_t total_bits = 0;  ///< sum of the list
  int64_t weights = 0;     ///< P: convolution weights, without biases, batch norm and linear layers
  int64_t bytes = 0;       ///< by the rule, rounded up
  int64_t bops = 0;        ///< bit operations per image: sum of multiplications * b_l^2
  double megabytes() const { return static_cast<double>(bytes) / 1e6; }
  double mebibytes() const { return static_cast<double>(bytes) / (1 << 20); }
  double percent_of_fp32() const;  ///< 100 bytes / 4 P
};

/// Bytes of one layer's planes: for every (output channel, ky, kx), for every block, `bits` planes of whole bytes.
int64_t plane_bytes(const nn::ConvInfo& layer, int bits, int64_t block);
/// Multipliers of one layer: one per block.
int64_t multiplier_count(const nn::ConvInfo& layer, int64_t block);

/// `block` and `format` matter to the rule packed only.
/// Throws:  InputError for a bit list of the wrong length or a block out of range
/// Source:  paper Table 1 (rule paper)
SizeReport size_of(std::span<const nn::ConvInfo> layers, const Bits& bits, SizeRule rule, int64_t block = kBlock,
                   MultiplierFormat format = MultiplierFormat::Auto);

}  // namespace kronbit::quant
