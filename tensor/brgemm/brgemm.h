// Batch-reduce GEMM: the one compute primitive under every training convolution and the linear layer.
// C (+)= sum over i of A_i * B_i, all i of one shape. Variants (reference, OpenBLAS, one per ISA) are listed in
// table.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/base/error.h"
#include "tensor/tensor.h"

namespace kronbit {

/// Shapes:   A_i m x k, element (r, c) at a[r * a_row + c * a_col]: a_col = 1 reads rows, a_row = 1 reads a transpose
///           in place
///           B_i k x n, element (r, c) at b[r * b_row + c]
///           C   m x n, element (r, c) at c[r * c_row + c]
/// Units:    strides in numbers; m, n, k >= 0
struct BrgemmShape {
  int64_t m = 0, n = 0, k = 0;
  int64_t a_row = 0, a_col = 1;
  int64_t b_row = 0;
  int64_t c_row = 0;
};

/// One term of the sum.
template <class T>
struct BrgemmTerm {
  const T* a;
  const T* b;
};

/// Formula:  C = [C +] sum_i A_i * B_i; without terms (or k = 0) C = 0 or stays as it is
/// Requires: C overlaps no A or B. Runs on the calling thread.
/// Exactness: float variants agree within 1e-5 of sum_i |A_i| |B_i| for sums of up to 10^4 products; the order of the
/// sum depends on the variant and the shape only.
template <class T>
void brgemm(const BrgemmShape& shape, std::span<const BrgemmTerm<T>> terms, T* c, bool accumulate);

/// Products of bf16 numbers summed in f32: the instructions for them take two numbers of k at a time, so B comes in
/// pairs of rows.
/// Shapes:   A_i m x k, element (r, c) at a[r * a_row + c]
///           B_i k x n, element (r, c) at b[(r / 2) * b_pair + 2 * c + r % 2]
///           C   m x n, element (r, c) at c[r * c_row + c]
/// Units:    strides in numbers; m, n, k >= 0, k even (an odd k is padded with zeros in both A and B)
struct BrgemmPairsShape {
  int64_t m = 0, n = 0, k = 0;
  int64_t a_row = 0;
  int64_t b_pair = 0;
  int64_t c_row = 0;
};

/// Formula:  C = [C +] sum_i A_i * B_i in f32
/// Requires: C overlaps no A or B. Runs on the calling thread.
/// Exactness: variants agree within 2e-5 of sum_i |A_i| |B_i| for sums of up to 10^4 products, numbers below 2^-126
/// counting as zero; the order of the sum depends on the variant and the shape only.
void brgemm(const BrgemmPairsShape& shape, std::span<const BrgemmTerm<bf16>> terms, float* c, bool accumulate);
/// The same sum, rounded once to bf16.
void brgemm(const BrgemmPairsShape& shape, std::span<const BrgemmTerm<bf16>> terms, bf16* c);

/// One row of the table of variants. A missing function: the variant does not serve that type of number.
struct BrgemmVariant {
  std::string_view name;   ///< "avx512"
  std::string_view needs;  ///< CPU features, for people: "avx512f"
  bool (*supported)();     ///< CPU and OS allow it
  void (*run_f32)(const BrgemmShape&, std::span<const BrgemmTerm<float>>, float*, bool);
  void (*run_f64)(const BrgemmShape&, std::span<const BrgemmTerm<double>>, double*, bool);
  void (*run_bf16)(const BrgemmPairsShape&, std::span<const BrgemmTerm<bf16>>, float*, bool);
  void (*run_bf16_rounded)(const BrgemmPairsShape&, std::span<const BrgemmTerm<bf16>>, bf16*);
  bool serves(DType type) const {
    return type == DType::F32 ? run_f32 != nullptr : type == DType::BF16 ? run_bf16 != nullptr : run_f64 != nullptr;
  }
};
std::span<const BrgemmVariant> brgemm_variants();  ///< best first
/// The variant in use for products of this type: the forced one if it serves the type, else the fastest one here (f64
/// is for comparisons: the reference).
const BrgemmVariant& brgemm_variant(DType type = DType::F32);
/// Forces a variant by name for the types it serves ("auto" undoes it).
/// Throws: InputError if the name is unknown or this machine lacks it.
void force_brgemm_variant(std::string_view name);
/// Null unless one is forced.
const BrgemmVariant* forced_brgemm_variant();

}  // namespace kronbit
