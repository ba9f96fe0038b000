// The definition of brgemm, written as the equation.
#include "tensor/brgemm/variants.h"

namespace kronbit {
namespace {

template <class T>
void run(const BrgemmShape& s, std::span<const BrgemmTerm<T>> terms, T* c, bool accumulate) {
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      T sum = accumulate ? c[i * s.c_row + j] : T(0);
      for (const BrgemmTerm<T>& term : terms) {
        for (int64_t p = 0; p < s.k; ++p) sum += term.a[i * s.a_row + p * s.a_col] * term.b[p * s.b_row + j];
      }
      c[i * s.c_row + j] = sum;
    }
  }
}

float pairs_sum(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, int64_t i, int64_t j, float sum) {
  for (const BrgemmTerm<bf16>& term : terms) {
    for (int64_t p = 0; p < s.k; ++p)
      sum += float(term.a[i * s.a_row + p]) * float(term.b[p / 2 * s.b_pair + 2 * j + p % 2]);
  }
  return sum;
}

}  // namespace

void brgemm_f32_reference(const BrgemmShape& s, std::span<const BrgemmTerm<float>> terms, float* c, bool accumulate) {
  run(s, terms, c, accumulate);
}
void brgemm_f64_reference(const BrgemmShape& s, std::span<const BrgemmTerm<double>> terms, double* c, bool accumulate) {
  run(s, terms, c, accumulate);
}
void brgemm_bf16_reference(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, float* c,
                           bool accumulate) {
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      float& to = c[i * s.c_row + j];
      to = pairs_sum(s, terms, i, j, accumulate ? to : 0.0f);
    }
  }
}
void brgemm_bf16_rounded_reference(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, bf16* c) {
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) c[i * s.c_row + j] = bf16(pairs_sum(s, terms, i, j, 0.0f));
  }
}

}  // namespace kronbit
