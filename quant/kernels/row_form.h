// How rows of quantized activations lie in memory. Alone in a file because GPU kernels read it, without the rest.
#pragma once

namespace kronbit::quant {

/// How rows of activations are stored for a kernel; a row is one pixel of one image, its channels in blocks of 32, the
/// missing lanes of the last block zero.
///   Bytes   [row][block] 32 mantissas, int8 or (unsigned formats) uint8
///   Planes  [row][block] `bits` words of 32 bits: word p has bit p of the 32 mantissas (two's complement)
///   Bf16    [row][block] 32 numbers mantissa * step as bf16, which is exact
enum class RowForm { Bytes, Planes, Bf16 };

}  // namespace kronbit::quant
