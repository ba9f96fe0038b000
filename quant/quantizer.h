// The two quantizers of DSConv: weights in blocks of channels with one multiplier each, activations in block floating
// point. Pure functions on tensors; the operator that uses them is ds_conv2d.h. Words: docs/reading_order.md.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace kronbit::quant {

/// How the integers of a block of weights are chosen.
enum class Mode { SignedExtreme, Binary, PaperFloor };
const char* name_of(Mode mode);  ///< "signed-extreme"
/// Throws: InputError listing the three names.
Mode parse_mode(std::string_view text);
/// The mode in force at `bits`: signed-extreme means binary at 1 bit (two's complement has no +1 there).
Mode mode_at(Mode mode, int bits);
/// Throws: InputError unless 1 <= block <= 65536.
void check_block(int64_t block);

/// Weights as b-bit integers and one multiplier per block: w ~ multiplier * integer.
/// A block: `block` consecutive input channels of one (output channel, ky, kx); the last one may be shorter.
struct QuantizedWeights {
  Shape shape;  ///< [O, C, kh, kw] of the weights
  int bits = 8;
  Mode mode = Mode::SignedExtreme;
  int64_t block = kBlock;
  std::vector<int8_t> integers;    ///< [O][kh][kw][C]
  std::vector<float> multipliers;  ///< [O][kh][kw][blocks_per_position()]
  int64_t blocks_per_position() const { return (shape[1] + block - 1) / block; }
};

/// DSConv's weight quantization.
/// Formula:  multiplier xi = sum(w q) / sum(q q), 0 when the denominator is 0; with w_e the element of largest
///           magnitude (of two, the positive one) and L = 2^(b-1):
///             signed-extreme  q = clamp(round_half_even(s w), -L, L-1), s = -L / w_e     (xi may be negative)
///             binary          q = +1 where w >= 0, else -1; xi = mean |w|
///             paper-floor     q = clamp(floor(L w / |w_e|), -L, L-1)
/// Shapes:   w [O, C, kh, kw] f32
/// Requires: bits 1..8; binary only at 1 bit (InputError)
/// Exactness: the same on every instruction set: s, s w and w / |w_e| are rounded once to float each; the sum of w q is
///           in double, as eight partial sums (channel k of the block goes to sum k mod 8), of which the second half is
///           added to the first half, three times; xi is rounded once to float. A block whose largest magnitude is
///           below 2^-120 counts as zero (all q 0, or +-1 in binary; xi 0). One with a NaN or an infinity has a NaN
///           multiplier, so that the loss shows it.
/// Source:   paper §3.1; deviation: rounding instead of floor and the extreme's sign in signed-extreme
QuantizedWeights quantize_weights(const Tensor& w, int bits, Mode mode, int64_t block = kBlock);

/// multiplier * integer, rounded once to float. Shapes: returns [O, C, kh, kw] f32
Tensor dequantize(const QuantizedWeights& q);

/// dequantize(quantize_weights(...)) in one pass: what a forward pass in training needs.
Tensor fake_quantize_weights(const Tensor& w, int bits, Mode mode, int64_t block = kBlock);

/// Block floating point: a power-of-two step per `block` channels of one pixel of one image, mantissas of `bits` bits.
struct ActivationFormat {
  int bits = 8;
  bool is_signed = true;
  int64_t block = kBlock;
  int lowest() const { return is_signed ? -(1 << (bits - 1)) : 0; }
  int highest() const { return is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1; }
};

/// Activations in block floating point, in the number type of x.
/// Formula:  M = max|x| of the block, E = floor(log2 M), step = 2^(E+2-b) signed | 2^(E+1-b) unsigned;
///           y = step * clamp(round_half_even(x / step), lowest, highest); a zero block stays zero
/// Shapes:   x, y [H][W][N][C] f32 or bf16
/// Exactness: exact, on every instruction set: every y is a mantissa of at most 8 bits times a power of two. Steps end
///           at 2^-149, the smallest float; below, values are exact. A block with M >= 2^126 or an infinity becomes
///           NaN, a NaN stays NaN: neither is hidden.
/// Source:   paper §3.1; unsigned mantissas for non-negative inputs are ours
Tensor quantize_activations(const Tensor& x, const ActivationFormat& format);

/// Straight-through gradient. Formula: dx = dy, but 0 where rounding left the range of mantissas (saturation).
/// Shapes:   dy, x, returns [H][W][N][C], all f32 or all bf16; x is the input of quantize_activations()
Tensor quantize_activations_backward(const Tensor& dy, const Tensor& x, const ActivationFormat& format);

/// The same two on a range of rows, on the calling thread, for an operator whose rows are still in the cache. T = float
/// or bf16.
/// Shapes:   rows of `channels` numbers, `pitch` apart; the numbers from channels to pitch are padding
/// Requires: padding of x is zero (that of y and dx becomes zero); a valid format. In place allowed: y = x,
///           dx = dy.
template <class T>
void quantize_rows(const T* x, T* y, int64_t rows, int64_t pitch, int64_t channels, const ActivationFormat& format);
template <class T>
void quantize_rows_backward(const T* dy, const T* x, T* dx, int64_t rows, int64_t pitch, int64_t channels,
                            const ActivationFormat& format);

/// The same numbers as integers, for the integer kernels: y = mantissa * 2^exponent.
struct QuantizedActivations {
  int64_t channels = 0, blocks = 0;  ///< blocks of one row
  std::vector<int16_t> mantissas;    ///< [rows][channels]
  std::vector<int16_t> exponents;    ///< [rows][blocks], -149..126; 0 for a zero block
};
/// Throws: NumericalError where quantize_activations() would give NaN.
QuantizedActivations activation_mantissas(const Tensor& x, const ActivationFormat& format);

}  // namespace kronbit::quant
