// The quantizers and the packing of weights: numbers per second of processor time of one core, and per cycle of its
// clock.
#include "bench/machine.h"
#include "nn/ops/conv2d_pack.h"
#include "quant/kernels/activations/kernels.h"
#include "quant/kernels/weights/kernels.h"
#include "quant/quantizer.h"
#include "tensor/rng.h"

namespace kronbit::quant {
namespace {

/// Counters "numbers/s" and "numbers/cycle".
void count_numbers(benchmark::State& state, int64_t numbers_per_iteration) {
  static const double rate = clock_rate();
  const double numbers = static_cast<double>(numbers_per_iteration) * static_cast<double>(state.iterations());
  state.counters["numbers/s"] = benchmark::Counter(numbers, benchmark::Counter::kIsRate);
  state.counters["numbers/cycle"] = benchmark::Counter(numbers / rate, benchmark::Counter::kIsRate);
}

Tensor random_numbers(Tensor t, double lowest) {
  Rng rng(1, Purpose::Test);
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t c = 0; c < t.cols(); ++c) t.row<float>(r)[c] = static_cast<float>(rng.uniform(lowest, 1));
  return t;
}

constexpr ActivationFormat kFormat{4, false, kBlock};

/// `rows` rows in L2 (or, many of them, in memory), one thread.
template <class T>
void activations(benchmark::State& state, const ActivationKernels& kernels, int64_t rows, int64_t channels) {
  const Tensor x = random_numbers(Tensor::activation(rows, 1, 1, channels), 0).to(dtype_of<T>());
  Tensor y = Tensor::zeros_like(x);
  const int64_t block = std::min(kFormat.block, x.pitch());
  for (auto _ : state) {
    if constexpr (sizeof(T) == 4) kernels.quantize_f32(x.data<T>(), y.data<T>(), x.stored(), block, kFormat);
    if constexpr (sizeof(T) == 2) kernels.quantize_bf16(x.data<T>(), y.data<T>(), x.stored(), block, kFormat);
    benchmark::ClobberMemory();
  }
  count_numbers(state, x.count());
}

template <class T>
void activations_backward(benchmark::State& state, const ActivationKernels& kernels, int64_t rows, int64_t channels) {
  const Tensor x = random_numbers(Tensor::activation(rows, 1, 1, channels), 0).to(dtype_of<T>());
  const Tensor dy = random_numbers(Tensor::activation(rows, 1, 1, channels), -1).to(dtype_of<T>());
  Tensor dx = Tensor::zeros_like(x);
  const int64_t block = std::min(kFormat.block, x.pitch());
  for (auto _ : state) {
    if constexpr (sizeof(T) == 4) kernels.mask_f32(dy.data<T>(), x.data<T>(), dx.data<T>(), x.stored(), block, kFormat);
    if constexpr (sizeof(T) == 2)
      kernels.mask_bf16(dy.data<T>(), x.data<T>(), dx.data<T>(), x.stored(), block, kFormat);
    benchmark::ClobberMemory();
  }
  count_numbers(state, x.count());
}

void weights(benchmark::State& state, const Shape& shape, int bits, Mode mode) {
  const Tensor w = random_numbers(Tensor::zeros(shape), -1);
  for (auto _ : state) benchmark::DoNotOptimize(fake_quantize_weights(w, bits, mode).data<float>());
  count_numbers(state, w.count());
}

/// 64 x 64 channels, in L1 and L2.
void weight_kernel(benchmark::State& state, const WeightKernels& kernels, int64_t taps, int bits, Mode mode) {
  const Tensor w = random_numbers(Tensor::zeros({64, 64 * taps}), -1);
  Tensor q = Tensor::zeros_like(w);
  std::vector<float> multipliers(static_cast<size_t>(2 * taps));
  WeightScratch scratch(taps);
  for (auto _ : state) {
    for (int64_t o = 0; o < 64; ++o)
      kernels.quantize(w.row<float>(o), q.row<float>(o), multipliers.data(), {2, 32, taps, bits, mode, true}, scratch);
    benchmark::ClobberMemory();
  }
  count_numbers(state, w.count());
}

void pack(benchmark::State& state, const Shape& shape) {
  const Tensor w = random_numbers(Tensor::zeros(shape), -1);
  for (auto _ : state) benchmark::DoNotOptimize(nn::pack_conv_weights(w, true).forward.data<bf16>());
  count_numbers(state, w.count());
}

template <class F, class... Arguments>
void add(const std::string& name, F* f, Arguments... arguments) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { f(state, arguments...); })
      ->MeasureProcessCPUTime()
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace
}  // namespace kronbit::quant

int main(int argc, char** argv) {
  using namespace kronbit;
  using namespace kronbit::quant;
  set_threads(1);
  for (const ActivationKernels& k : activation_kernels()) {
    if (!k.supported()) continue;
    for (const int64_t channels : {16, 64}) {
      const std::string tail = fmt::format("/{} channels/{}", channels, k.name);
      const int64_t rows = (1 << 16) / channels;
      add("activations f32" + tail, activations<float>, k, rows, channels);
      add("activations bf16" + tail, activations<bf16>, k, rows, channels);
      add("activations f32 backward" + tail, activations_backward<float>, k, rows, channels);
      add("activations bf16 backward" + tail, activations_backward<bf16>, k, rows, channels);
    }
    add(fmt::format("activations f32, from memory/64 channels/{}", k.name), activations<float>, k, int64_t{1 << 18},
        int64_t{64});
  }
  for (const Shape& shape : {Shape{512, 512, 3, 3}, Shape{512, 512, 1, 1}, Shape{64, 64, 3, 3}, Shape{64, 3, 7, 7}}) {
    add("weights, 4 bits/" + shape.text(), weights, shape, 4, Mode::SignedExtreme);
    add("weights, 1 bit/" + shape.text(), weights, shape, 1, Mode::Binary);
    add("weights, paper-floor/" + shape.text(), weights, shape, 4, Mode::PaperFloor);
    add("pack both/" + shape.text(), pack, shape);
  }
  for (const WeightKernels& k : weight_kernels()) {
    if (!k.supported()) continue;
    for (const int64_t taps : {1, 9}) {
      add(fmt::format("weight kernel, 4 bits/{} taps/{}", taps, k.name), weight_kernel, k, taps, 4,
          Mode::SignedExtreme);
      add(fmt::format("weight kernel, 1 bit/{} taps/{}", taps, k.name), weight_kernel, k, taps, 1, Mode::Binary);
    }
  }
  describe_machine();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
