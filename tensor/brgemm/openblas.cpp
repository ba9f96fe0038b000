// brgemm by OpenBLAS: one general matrix product per term, each on the calling thread (parallel_for has the threads).
#include <cblas.h>

#include <algorithm>

#include "tensor/brgemm/variants.h"

namespace kronbit {
namespace {

void gemm(CBLAS_TRANSPOSE transpose, const BrgemmShape& s, const float* a, blasint lda, const float* b, float* c,
          float beta) {
  cblas_sgemm(CblasRowMajor, transpose, CblasNoTrans, static_cast<blasint>(s.m), static_cast<blasint>(s.n),
              static_cast<blasint>(s.k), 1.0f, a, lda, b, static_cast<blasint>(s.b_row), beta, c,
              static_cast<blasint>(s.c_row));
}
void gemm(CBLAS_TRANSPOSE transpose, const BrgemmShape& s, const double* a, blasint lda, const double* b, double* c,
          double beta) {
  cblas_dgemm(CblasRowMajor, transpose, CblasNoTrans, static_cast<blasint>(s.m), static_cast<blasint>(s.n),
              static_cast<blasint>(s.k), 1.0, a, lda, b, static_cast<blasint>(s.b_row), beta, c,
              static_cast<blasint>(s.c_row));
}

template <class T>
void run(const BrgemmShape& s, std::span<const BrgemmTerm<T>> terms, T* c, bool accumulate) {
  static const bool single_threaded = (openblas_set_num_threads(1), true);
  KB_CHECK(single_threaded);
  if (s.m == 0 || s.n == 0) return;
  if (!accumulate && (terms.empty() || s.k == 0)) {
    for (int64_t i = 0; i < s.m; ++i) std::fill(c + i * s.c_row, c + i * s.c_row + s.n, T(0));
  }
  if (s.k == 0) return;
  // BLAS wants one of the two strides of A to be 1, and the other at least the length it strides over.
  const bool plain = s.a_col == 1 && (s.a_row >= s.k || s.m == 1),
             transposed = s.a_row == 1 && (s.a_col >= s.m || s.k == 1);
  KB_CHECK(plain || transposed);
  const auto lda = static_cast<blasint>(plain ? std::max(s.a_row, s.k) : std::max(s.a_col, s.m));
  for (size_t i = 0; i < terms.size(); ++i) {
    gemm(plain ? CblasNoTrans : CblasTrans, s, terms[i].a, lda, terms[i].b, c, i == 0 && !accumulate ? T(0) : T(1));
  }
}

}  // namespace

void brgemm_f32_openblas(const BrgemmShape& s, std::span<const BrgemmTerm<float>> terms, float* c, bool accumulate) {
  run(s, terms, c, accumulate);
}
void brgemm_f64_openblas(const BrgemmShape& s, std::span<const BrgemmTerm<double>> terms, double* c, bool accumulate) {
  run(s, terms, c, accumulate);
}

}  // namespace kronbit
