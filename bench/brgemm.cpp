// The batch-reduce GEMM, each variant on one core: the shapes of convolutions (64 images, one panel of 32 columns, 9
// taps), square products, and products with a transposed A as in the gradient of weights; in bf16 with the copies that
// bring its operands into order.
#include "tensor/brgemm/brgemm.h"

#include "bench/machine.h"
#include "tensor/brgemm/pack.h"
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

void run_f32(benchmark::State& state, std::string_view variant, const Product& p) {
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

/// Products of a convolution in bf16. A forward pass rounds its sums, the gradient of weights adds to f32 ones.
struct PairsProduct {
  const char* name;
  int64_t m, n, k, terms;
  bool accumulate;
};
constexpr PairsProduct kPairsProducts[] = {
    {"forward 3x3 16->16", 64, 16, 16, 9, false},          {"forward 3x3 32->32", 64, 32, 32, 9, false},
    {"forward 3x3 64->64", 64, 32, 64, 9, false},          {"forward 3x3 128->128", 64, 32, 128, 9, false},
    {"forward 3x3 512->512", 64, 32, 512, 9, false},       {"forward 1x1 256->64", 64, 32, 256, 1, false},
    {"forward 7x7 32->64", 64, 32, 32, 49, false},         {"forward 3x3 64->64, 1 image", 1, 32, 64, 9, false},
    {"forward 3x3 64->64, 8 images", 8, 32, 64, 9, false}, {"weights 16x16, 32 pixels", 16, 16, 32, 32, true},
    {"weights 32x32, 64 pixels", 32, 32, 32, 64, true},    {"weights 64x64, 16 pixels", 64, 64, 32, 16, true},
    {"weights 64x64, 64 pixels", 64, 64, 32, 64, true}};
constexpr int64_t kPixels = 96;  // three rows of an image of CIFAR-10 take part in a row of a 3x3 convolution

/// peak: of which numbers, f32 for variants that widen.
void run_bf16(benchmark::State& state, std::string_view variant, const PairsProduct& p, DType peak) {
  force_brgemm_variant(variant);
  const int64_t pixels = p.accumulate ? p.terms : kPixels, b_pair = 2 * pitch_of(p.n);
  const auto filled = [](Tensor t) {
    for (int64_t i = 0; i < t.stored(); ++i) t.data<bf16>()[i] = bf16(1 + static_cast<float>(i % 7) / 8);
    return t;
  };
  const Tensor a = filled(Tensor::zeros({pixels, p.m, p.k}, DType::BF16));
  const Tensor b = filled(Tensor::zeros({p.terms, p.k / 2, b_pair}, DType::BF16));
  Tensor sums = Tensor::activation(1, 1, p.m, p.n), rounded = Tensor::activation(1, 1, p.m, p.n, DType::BF16);
  std::vector<BrgemmTerm<bf16>> terms(static_cast<size_t>(p.terms));
  const BrgemmPairsShape shape{.m = p.m, .n = p.n, .k = p.k, .a_row = p.k, .b_pair = b_pair, .c_row = sums.pitch()};
  int64_t pixel = 0;
  for (auto _ : state) {
    for (int64_t i = 0; i < p.terms; ++i)
      terms[static_cast<size_t>(i)] = {a.row<bf16>((pixel + i) % pixels * p.m), b.row<bf16>(i * p.k / 2)};
    ++pixel;
    if (p.accumulate) {
      brgemm(shape, terms, sums.data<float>(), true);
    } else {
      brgemm(shape, terms, rounded.data<bf16>());
    }
  }
  count_flops(state, 2.0 * static_cast<double>(p.m * p.n * p.k * p.terms), peak);
  force_brgemm_variant("auto");
}

/// 32 images of some channels, pixel by pixel, from and to the L2 cache.
void run_pack(benchmark::State& state, PackVariant::Copy* copy, bool transposed, int64_t channels) {
  constexpr int64_t kImages = 32;
  const int64_t pixels = 4096 / channels;  // 256 KB
  const Tensor from = Tensor::zeros({pixels, kImages, channels}, DType::BF16);
  Tensor to = Tensor::zeros({pixels, kImages, channels}, DType::BF16);
  for (auto _ : state) {
    for (int64_t i = 0; i < pixels; ++i)
      copy(from.row<bf16>(i * kImages), kImages, channels, channels, to.row<bf16>(i * kImages),
           transposed ? kImages : 2 * channels);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * from.bytes());
}

}  // namespace
}  // namespace kronbit

int main(int argc, char** argv) {
  using namespace kronbit;
  for (const BrgemmVariant& v : brgemm_variants()) {
    if (!v.supported() || v.name == "reference") continue;  // the reference is for reading
    for (const Product& p : kProducts) {
      if (!v.serves(DType::F32)) break;
      const std::string name = "f32/" + std::string(v.name) + "/" + p.name;
      benchmark::RegisterBenchmark(name.c_str(), [&v, &p](benchmark::State& state) { run_f32(state, v.name, p); });
    }
    for (const PairsProduct& p : kPairsProducts) {
      if (!v.serves(DType::BF16)) break;
      const std::string name = "bf16/" + std::string(v.name) + "/" + p.name;
      const DType peak = v.serves(DType::F32) ? DType::F32 : DType::BF16;
      benchmark::RegisterBenchmark(name.c_str(),
                                   [&v, &p, peak](benchmark::State& state) { run_bf16(state, v.name, p, peak); });
    }
  }
  for (const PackVariant& v : pack_variants()) {
    if (!v.supported()) continue;
    for (int64_t channels : {16, 64, 256}) {
      const std::string name = fmt::format("/{}/{} channels", v.name, channels);
      benchmark::RegisterBenchmark(("pack pairs" + name).c_str(), run_pack, v.pairs, false, channels);
      benchmark::RegisterBenchmark(("pack transpose" + name).c_str(), run_pack, v.transpose, true, channels);
    }
  }
  describe_machine();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
