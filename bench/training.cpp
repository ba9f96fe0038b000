// Whole training steps (or passes of inference) of one network, timed: random images in memory, so that nothing but the
// network, the loss and the optimiser is measured. One JSON line; bench/training.py sets it beside PyTorch.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "bench/machine.h"
#include "nn/models/models.h"
#include "nn/ops/conv2d_products.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/optim.h"
#include "quant/assign.h"
#include "tensor/io/json.h"
#include "tensor/memory.h"
#include "tensor/rng.h"

namespace kronbit {
namespace {

constexpr int64_t kWarmUp = 2;  // steps until the memory pool holds all a step needs
constexpr int64_t kMinSteps = 3;

struct Settings {
  std::string net = "resnet20", mode = "train", precision = "fp32", bits = "none", kernel = "auto", isa = "auto";
  int64_t batch = 128, steps = 5;
  double seconds = 60;
  int threads = 0;
};

struct Batch {
  Tensor images;  // [H][W][N][3] f32
  std::vector<int> labels;
};

Batch random_batch(const nn::Network& net, int64_t images) {
  const Shape& shape = net.input_shape();
  Batch batch{Tensor::activation(shape[0], shape[1], images, shape[3]), {}};
  Rng rng(1, Purpose::Test);
  for (int64_t r = 0; r < batch.images.rows(); ++r)
    for (int64_t c = 0; c < shape[3]; ++c) batch.images.row<float>(r)[c] = static_cast<float>(rng.uniform(-1, 1));
  for (int64_t i = 0; i < images; ++i) batch.labels.push_back(static_cast<int>(i * 7919 % net.classes()));
  return batch;
}

struct Times {
  std::vector<double> seconds;  // of every step after the warm-up, sorted
  double cpu_seconds = 0;       // processor time of a step, all threads, in the mean
};

/// Fewer than s.steps steps where they take longer than s.seconds.
template <class Step>
Times times(const Settings& s, const Step& step) {
  std::vector<double> seconds;
  double sum = 0, cpu_start = 0;
  for (int64_t i = 0; i < kWarmUp + s.steps && (sum < s.seconds || i < kWarmUp + kMinSteps); ++i) {
    if (i == kWarmUp) cpu_start = process_seconds();
    const auto start = std::chrono::steady_clock::now();
    step();
    const auto end = std::chrono::steady_clock::now();
    if (i < kWarmUp) continue;
    seconds.push_back(std::chrono::duration<double>(end - start).count());
    sum += seconds.back();
  }
  const double cpu_seconds = (process_seconds() - cpu_start) / static_cast<double>(seconds.size());
  std::sort(seconds.begin(), seconds.end());
  return {seconds, cpu_seconds};
}

/// How often a tap of the kernel meets a row of the image: padding is no work.
int64_t taps_inside(int64_t rows, int64_t out_rows, int64_t kernel, const nn::Conv2dOptions& o) {
  int64_t count = 0;
  for (int64_t y = 0; y < out_rows; ++y) {
    for (int64_t i = 0; i < kernel; ++i) {
      const int64_t at = y * o.stride - o.pad + i;
      count += at >= 0 && at < rows ? 1 : 0;
    }
  }
  return count;
}

/// Operations of the convolutions per image, a multiply-add as two: forward, and in training the two gradients (the
/// image itself needs none).
double operations(const nn::Network& net, bool training) {
  double sum = 0;
  for (const int index : net.convolutions()) {
    const nn::Node& node = net.nodes()[static_cast<size_t>(index)];
    const nn::Conv2dOptions& o = dynamic_cast<const nn::Convolution&>(*node.op).options();
    const Shape& in = net.nodes()[static_cast<size_t>(node.inputs[0])].shape;
    const int64_t taps =
        taps_inside(in[0], node.shape[0], o.kernel_h, o) * taps_inside(in[1], node.shape[1], o.kernel_w, o);
    sum += 2.0 * static_cast<double>(taps * o.in_channels * o.out_channels) *
           (!training             ? 1
            : node.inputs[0] == 0 ? 2
                                  : 3);
  }
  return sum;
}

Times measure(nn::Network& net, const Settings& s) {
  net.initialize(1);
  if (s.bits != "none") {
    quant::assign_bits(net, parse_bits(s.bits, static_cast<int64_t>(net.convolutions().size())));
  }
  const DType precision = s.precision == "bf16" ? DType::BF16 : DType::F32;
  const Batch batch = random_batch(net, s.batch);
  if (s.mode == "infer") {
    nn::ConvWeightCache weights;
    const nn::RunContext context{.precision = precision, .weights = &weights};
    return times(s, [&] { net.forward(batch.images, context); });
  }
  nn::Optimiser optimiser(net.parameters(), nn::Sgd{.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4});
  nn::RunContext context{.training = true, .precision = precision, .seed = 1};
  return times(s, [&] {
    optimiser.clear_gradients();
    const nn::Var loss = nn::softmax_cross_entropy(net.forward(batch.images, context), batch.labels);
    if (!std::isfinite(loss.value().data<float>()[0])) throw NumericalError("[training] the loss is not finite");
    nn::backward(loss);
    optimiser.step(0.01);
    ++context.step;
  });
}

Json machine() {
  return {{"processor", cpu().model},
          {"threads", threads()},
          {"features", cpu_feature_list()},
          {"kernel", brgemm_variant(DType::F32).name},
          {"bf16_kernel", brgemm_variant(DType::BF16).name},
          {"fma_peak_gflops", std::round(fma_peak() * 1e-9)},
          {"bf16_peak_gflops", std::round(bf16_peak() * 1e-9)}};
}

Json report(const Settings& s) {
  nn::Network net = nn::build(s.net);
  const auto [seconds, cpu_seconds] = measure(net, s);
  const double median = seconds[seconds.size() / 2], best = seconds.front(), images = static_cast<double>(s.batch);
  return {{"net", s.net},
          {"mode", s.mode},
          {"precision", s.precision},
          {"bits", s.bits},
          {"batch", s.batch},
          {"threads", threads()},
          {"steps", seconds.size()},
          {"images_per_second", images / median},
          {"images_per_second_best", images / best},
          {"seconds_per_step", median},
          {"seconds_per_step_best", best},
          {"cpu_seconds_per_step", cpu_seconds},
          {"gflop_per_image", operations(net, s.mode == "train") * 1e-9},
          {"peak_rss_mb", std::round(static_cast<double>(peak_resident_bytes()) / 1e6)},
          {"kernel", brgemm_variant(s.precision == "bf16" ? DType::BF16 : DType::F32).name},
          {"processor", cpu().model}};
}

}  // namespace
}  // namespace kronbit

int main(int argc, char** argv) {
  using namespace kronbit;
  Settings s;
  bool peaks = false;
  CLI::App app{"Times whole training steps of a network; prints one JSON line.", "bench_training"};
  app.add_option("--net", s.net, "network: resnet20, vgg16, ...")->capture_default_str();
  app.add_option("--mode", s.mode, "train or infer")->check(CLI::IsMember({"train", "infer"}))->capture_default_str();
  app.add_option("--precision", s.precision, "of activations: fp32 or bf16")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  app.add_option("--bits", s.bits, "bits of every layer, or none")->capture_default_str();
  app.add_option("--batch", s.batch, "images in a step")->check(CLI::Range(1, 100000))->capture_default_str();
  app.add_option("--steps", s.steps, "timed steps, after the warm-up")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--seconds", s.seconds, "fewer steps (at least 3) where they take longer than this");
  app.add_option("--threads", s.threads, "0: as many as there are processors")->check(CLI::Range(0, 1024));
  app.add_option("--kernel", s.kernel, "of the products; see kronbit info")->capture_default_str();
  app.add_option("--isa", s.isa, "highest instruction set: avx2, avx512, avx512bf16 or amx")->capture_default_str();
  app.add_flag("--peaks", peaks, "only what the processor is and what a core of it does at most");
  CLI11_PARSE(app, argc, argv);
  try {
    limit_isa(s.isa);
    if (s.threads > 0) set_threads(s.threads);
    force_brgemm_variant(s.kernel);
    std::printf("%s\n", dump_line(peaks ? machine() : report(s)).c_str());
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
  return 0;
}
