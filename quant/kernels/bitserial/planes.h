// What the bit-serial kernels share: the products of bit planes that make a dot product, and the weights they read.
// Start here; scalar.cpp is the idea in its plainest form, avx2.cpp and avx512.cpp are the same sum, many lanes at
// once.
//
// An integer is a sum of its bits, so a dot product of integers is a sum over pairs of bits, and of bits a dot product
// is "count the places where both are set":
//
//   weight  q_l = sum over i of c_i * bit i of q_l          c_i = 2^i, the top one -2^(b-1)
//   input   m_l = sum over j of d_j * bit j of m_l          d_j alike (unsigned: all positive)
//   dot     sum over l of q_l m_l = sum over i, j of c_i d_j * popcount(weight plane i AND input plane j)
//
// Binary weights, q = 1 - 2 * bit, have c_0 = -2 and add the sum of the m_l. The work grows with the product of the two
// numbers of bits: this is a method for one or two bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "quant/kernels/block_product.h"

namespace kronbit::quant::bitserial {

/// More plane products (bits of weights x bits of inputs) than this never pay against bytes.
inline constexpr int kMostPlaneProducts = 4;

/// dot = (add_sums ? sum of the mantissas : 0) + sum over i, j of coefficients[i * inputs + j] * popcount(...)
struct PlaneProducts {
  int weights = 0, inputs = 0;  ///< planes
  bool add_sums = false;
  /// c_i * d_j, at most 2^14 in magnitude, twice in a word of 32 bits: what a multiplication of pairs of int16 takes.
  int32_t coefficients[64] = {};
};
/// The planes of the inputs are those of the rows at hand, not those the layer was planned for.
PlaneProducts plane_products(const LayerShape& shape, const ActivationFormat& inputs);

/// The weights of 16 outputs and one block: `bits` planes of 16 words (bit l of word o: channel l of the block), then
/// the 16 multipliers; one after the other, [panel][tap][block]. Each is bits + 1 cache lines.
inline int64_t packed_block_bytes(int bits) { return 64 * (bits + 1); }
int64_t packed_bytes(const LayerShape& shape);
void pack(const LayerShape& shape, const PackedLayer& layer, int64_t first_panel, int64_t panels, std::byte* to);

}  // namespace kronbit::quant::bitserial
