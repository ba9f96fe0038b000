// The batch-reduce GEMM, each variant on one core: the shapes of convolutions (64 images, one panel of 32 columns, 9
// taps), square products, and products with a transposed A as in the gradient of weights.
#include "tensor/brgemm/brgemm.h"

#include "bench/machine.h"
#include "tensor/tensor.h"

namespace kronbit {
namespace {

struct Product {
  const char* name;
  int64_t m, n, k, terms;
  bool transposed;
};
constexpr Product kProducts[] = {{"forward 3x3 16->16", 64, 16, 16, 9, false},
                                 {"forward 3x3 32->32", 64, 32, 32, 9, false},
                                 {"forward 3x3 64->64", 64, 32, 64, 9, false},
                                 {"forward 3x3 128->128", 64, 32, 128, 9, false},
                                 {"forward 3x3 512->512", 64, 32, 512, 9, false},
                                 {"forward 1x1 256->64", 64, 32, 256, 1, false},
                                 {"weights 16x16, 32 pixels", 16, 16, 64, 32, true},
                                 {"weights 32x32, 16 pixels", 32, 32, 64, 16, true},
                                 {"weights 48x64, 8 pixels", 48, 64, 64, 8, true},
                                 {"weights 48x128, 4 pixels", 48, 128, 64, 4, true},
                                 {"square 64", 64, 64, 64, 1, false},
                                 {"square 256", 256, 256, 256, 1, false},
                                 {"square 512", 512, 512, 512, 1, false}};

void run(benchmark::State& state, std::string_view variant, const Product& p) {
  force_brgemm_variant(variant);
  // Operands padded as activations are, panels of B as packed weights.
  const int64_t a_row = round_up(p.transposed ? p.m : p.k, kBlock), b_row = round_up(p.n, kBlock);
  const Tensor a = Tensor::activation(1, p.terms, p.transposed ? p.k : p.m, p.transposed ? p.m : p.k);
  const Tensor b = Tensor::activation(1, p.terms, p.k, p.n);
  Tensor c = Tensor::activation(1, 1, p.m, p.n);
  std::vector<BrgemmTerm<float>> terms;
  for (int64_t i = 0; i < p.terms; ++i) terms.push_back({a.row<float>(i * a.images()), b.row<float>(i * b.images())});
  const BrgemmShape shape{.m = p.m,
                          .n = p.n,
                          .k = p.k,
                          .a_row = p.transposed ? 1 : a_row,
                          .a_col = p.transposed ? a_row : 1,
                          .b_row = b_row,
                          .c_row = c.pitch()};
  for (auto _ : state) brgemm<float>(shape, terms, c.data<float>(), false);
  count_flops(state, 2.0 * static_cast<double>(p.m * p.n * p.k * p.terms));
  force_brgemm_variant("auto");
}

}  // namespace
}  // namespace kronbit

int main(int argc, char** argv) {
  using namespace kronbit;
  for (const BrgemmVariant& v : brgemm_variants()) {
    if (!v.supported() || v.name == "reference") continue;  // the reference is for reading
    for (const Product& p : kProducts) {
      const std::string name = std::string(v.name) + "/" + p.name;
      benchmark::RegisterBenchmark(name.c_str(), [&v, &p](benchmark::State& state) { run(state, v.name, p); });
    }
  }
  describe_machine();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
