// The variants of brgemm and of its packings, one per file of this folder; listed in table.cpp. Private to the folder.
#pragma once

#include "tensor/brgemm/brgemm.h"

namespace kronbit {

void brgemm_f32_reference(const BrgemmShape& s, std::span<const BrgemmTerm<float>> terms, float* c, bool accumulate);
void brgemm_f64_reference(const BrgemmShape& s, std::span<const BrgemmTerm<double>> terms, double* c, bool accumulate);
void brgemm_f32_openblas(const BrgemmShape& s, std::span<const BrgemmTerm<float>> terms, float* c, bool accumulate);
void brgemm_f64_openblas(const BrgemmShape& s, std::span<const BrgemmTerm<double>> terms, double* c, bool accumulate);
void brgemm_f32_avx2(const BrgemmShape& s, std::span<const BrgemmTerm<float>> terms, float* c, bool accumulate);
void brgemm_f32_avx512(const BrgemmShape& s, std::span<const BrgemmTerm<float>> terms, float* c, bool accumulate);

void brgemm_bf16_reference(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, float* c,
                           bool accumulate);
void brgemm_bf16_rounded_reference(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, bf16* c);
void brgemm_bf16_avx512bf16(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, float* c,
                            bool accumulate);
void brgemm_bf16_rounded_avx512bf16(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, bf16* c);
void brgemm_bf16_avx512(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, float* c, bool accumulate);
void brgemm_bf16_rounded_avx512(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, bf16* c);
void brgemm_bf16_avx2(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, float* c, bool accumulate);
void brgemm_bf16_rounded_avx2(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, bf16* c);
void brgemm_bf16_amx(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, float* c, bool accumulate);
void brgemm_bf16_rounded_amx(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, bf16* c);

void pack_pairs_avx512(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_pair);
void pack_transpose_avx512(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_row);

}  // namespace kronbit
