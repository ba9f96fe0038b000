// The ordered list of brgemm variants, best first, and the choice among them.
#include <atomic>

#include "tensor/brgemm/variants.h"
#include "tensor/cpu.h"

namespace kronbit {
namespace {

bool always() { return true; }
bool has_avx2() { return cpu().avx2 && cpu().fma; }
bool has_avx512() { return cpu().avx512f; }

// OpenBLAS stands above the reference only: one call per term, each packing its operands anew, costs more than it
// gains.
constexpr BrgemmVariant kVariants[] = {
    {"avx512", "avx512f", has_avx512, brgemm_f32_avx512, nullptr, nullptr, nullptr},
    {"avx2", "avx2 fma", has_avx2, brgemm_f32_avx2, nullptr, nullptr, nullptr},
    {"openblas", "", always, brgemm_f32_openblas, brgemm_f64_openblas, nullptr, nullptr},
    {"reference", "", always, brgemm_f32_reference, brgemm_f64_reference, brgemm_bf16_reference,
     brgemm_bf16_rounded_reference},
};

const BrgemmVariant& best() {
  static const BrgemmVariant* const found = [] {
    const BrgemmVariant* v = kVariants;
    while (!v->supported()) ++v;  // the last one always is
    return v;
  }();
  return *found;
}

std::atomic<const BrgemmVariant*> forced{nullptr};

}  // namespace

std::span<const BrgemmVariant> brgemm_variants() { return kVariants; }

const BrgemmVariant& brgemm_variant() {
  const BrgemmVariant* v = forced.load();
  return v ? *v : best();
}

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
  brgemm_variant().run_f32(shape, terms, c, accumulate);
}

template <>
void brgemm<double>(const BrgemmShape& shape, std::span<const BrgemmTerm<double>> terms, double* c, bool accumulate) {
  const auto run = brgemm_variant().run_f64;
  (run ? run : brgemm_f64_reference)(shape, terms, c, accumulate);
}

void brgemm(const BrgemmPairsShape& shape, std::span<const BrgemmTerm<bf16>> terms, float* c, bool accumulate) {
  brgemm_bf16_reference(shape, terms, c, accumulate);
}

void brgemm(const BrgemmPairsShape& shape, std::span<const BrgemmTerm<bf16>> terms, bf16* c) {
  brgemm_bf16_rounded_reference(shape, terms, c);
}

}  // namespace kronbit
