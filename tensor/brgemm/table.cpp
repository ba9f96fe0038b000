// The ordered list of brgemm variants, best first, and the choice among them.
#include <array>
#include <atomic>
#include <iterator>

#include "tensor/brgemm/variants.h"
#include "tensor/cpu.h"

namespace kronbit {
namespace {

bool always() { return true; }
bool has_avx2() { return cpu().avx2 && cpu().fma; }
bool has_avx512() { return cpu().avx512f; }
bool has_avx512bf16() { return cpu().avx512_bf16 && cpu().avx512bw && cpu().avx512vl; }
bool has_amx() { return cpu().amx_bf16 && has_avx512bf16(); }  // the latter rounds the sums

// OpenBLAS stands above the reference only: one call per term, each packing its operands anew, costs more than it
// gains.
constexpr BrgemmVariant kVariants[] = {
    {"amx", "amx-bf16", has_amx, nullptr, nullptr, brgemm_bf16_amx, brgemm_bf16_rounded_amx},
    {"avx512bf16", "avx512-bf16", has_avx512bf16, nullptr, nullptr, brgemm_bf16_avx512bf16,
     brgemm_bf16_rounded_avx512bf16},
    {"avx512", "avx512f", has_avx512, brgemm_f32_avx512, nullptr, brgemm_bf16_avx512, brgemm_bf16_rounded_avx512},
    {"avx2", "avx2 fma", has_avx2, brgemm_f32_avx2, nullptr, brgemm_bf16_avx2, brgemm_bf16_rounded_avx2},
    {"openblas", "", always, brgemm_f32_openblas, brgemm_f64_openblas, nullptr, nullptr},
    {"reference", "", always, brgemm_f32_reference, brgemm_f64_reference, brgemm_bf16_reference,
     brgemm_bf16_rounded_reference},
};

/// Slower than the variant behind it in the table.
bool passed_over(const BrgemmVariant& v) { return v.run_bf16 == brgemm_bf16_avx512bf16 && !native_bf16(); }

const BrgemmVariant& find_best(DType type) {
  if (type == DType::F64) return *std::rbegin(kVariants);
  const BrgemmVariant* v = kVariants;
  while (!v->supported() || !v->serves(type) || passed_over(*v)) ++v;  // the last one always is and does
  return *v;
}

/// Found once for each type and each limit of the instruction set.
const BrgemmVariant& best(DType type) {
  static std::array<std::array<std::atomic<const BrgemmVariant*>, kIsaLevels>, 3> found;
  auto& v = found[static_cast<size_t>(type)][static_cast<size_t>(isa_level())];
  if (v.load(std::memory_order_relaxed) == nullptr) v = &find_best(type);
  return *v.load(std::memory_order_relaxed);
}

std::atomic<const BrgemmVariant*> forced{nullptr};

}  // namespace

std::span<const BrgemmVariant> brgemm_variants() { return kVariants; }

const BrgemmVariant& brgemm_variant(DType type) {
  const BrgemmVariant* v = forced_brgemm_variant();
  return v != nullptr && v->serves(type) ? *v : best(type);
}

const BrgemmVariant* forced_brgemm_variant() { return forced.load(std::memory_order_relaxed); }

void force_brgemm_variant(std::string_view name) {
  if (name == "auto") {
    forced = nullptr;
    return;
  }
  std::string known = "auto";
  for (const BrgemmVariant& v : kVariants) {
    if (v.name == name) {
      if (!v.supported())
        input_error("brgemm", "variant {}: wanted a processor with {}, got {}", name, v.needs, cpu().model);
      forced = &v;
      return;
    }
    known += ", " + std::string(v.name);
  }
  input_error("brgemm", "variant: wanted one of {}, got {}", known, name);
}

template <>
void brgemm<float>(const BrgemmShape& shape, std::span<const BrgemmTerm<float>> terms, float* c, bool accumulate) {
  brgemm_variant(DType::F32).run_f32(shape, terms, c, accumulate);
}

template <>
void brgemm<double>(const BrgemmShape& shape, std::span<const BrgemmTerm<double>> terms, double* c, bool accumulate) {
  brgemm_variant(DType::F64).run_f64(shape, terms, c, accumulate);
}

void brgemm(const BrgemmPairsShape& shape, std::span<const BrgemmTerm<bf16>> terms, float* c, bool accumulate) {
  KB_CHECK(shape.k % 2 == 0);
  brgemm_variant(DType::BF16).run_bf16(shape, terms, c, accumulate);
}

void brgemm(const BrgemmPairsShape& shape, std::span<const BrgemmTerm<bf16>> terms, bf16* c) {
  KB_CHECK(shape.k % 2 == 0);
  brgemm_variant(DType::BF16).run_bf16_rounded(shape, terms, c);
}

}  // namespace kronbit
