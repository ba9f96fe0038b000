// A deployed network, timed from images to logits: packed to its bits and run by the engine, or unquantized by the
// fused forward pass in FP32 or bf16. Random weights and images. One JSON line; bench/deployed.py sets it beside
// PyTorch.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>

#include "bench/machine.h"
#include "nn/models/models.h"
#include "nn/ops/conv2d_products.h"
#include "quant/assign.h"
#include "quant/engine/engine.h"
#include "quant/packed.h"
#include "tensor/io/json.h"
#include "tensor/io/parse.h"
#include "tensor/memory.h"
#include "tensor/rng.h"

namespace kronbit {
namespace {

constexpr int kWarmUp = 5;
constexpr size_t kMinPasses = 3, kMostPasses = 5000;

struct Settings {
  std::string net = "vgg16", how = "packed", bits = "4", kernel, isa = "auto";
  std::vector<int64_t> batches = {1, 8, 128};
  double seconds = 1;
  int threads = 0;
  bool exact = false;
};

/// Seconds of one pass: of a few warm-up passes, then of as many as fit into `limit` seconds, sorted.
template <class Pass>
std::vector<double> times(double limit, const Pass& pass) {
  using Clock = std::chrono::steady_clock;
  const auto once = [&] {
    const auto start = Clock::now();
    pass();
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  double sum = 0;
  for (int i = 0; i < kWarmUp && sum < limit; ++i) sum += once();
  std::vector<double> seconds;
  for (sum = 0; seconds.size() < kMostPasses && (seconds.size() < kMinPasses || sum < limit);) {
    seconds.push_back(once());
    sum += seconds.back();
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

Json time_report(int64_t batch, const std::vector<double>& seconds) {
  return {{"batch", batch}, {"passes", seconds.size()}, {"median", seconds[seconds.size() / 2]}, {"best", seconds[0]}};
}

nn::Network random_network(const Settings& s) {
  nn::Network net = nn::build(s.net);
  net.initialize(1);
  return net;
}

/// A packed file, and the choices of its kernels beside it; removed in the end.
class PackedFile {
 public:
  explicit PackedFile(const Settings& s)
      : folder_(std::filesystem::temp_directory_path() / fmt::format("kronbit-bench-{}", getpid())) {
    std::filesystem::create_directories(folder_);
    nn::Network net = random_network(s);
    quant::assign_bits(net, parse_bits(s.bits, std::ssize(net.convolutions())));
    quant::pack(net, {.normalization = "0.5,0.5,0.5/0.25,0.25,0.25"}).save(path());
  }
  ~PackedFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  PackedFile(const PackedFile&) = delete;
  PackedFile& operator=(const PackedFile&) = delete;
  std::filesystem::path path() const { return folder_ / "model.safetensors"; }
  std::filesystem::path choices() const { return folder_ / "kernels.json"; }

 private:
  std::filesystem::path folder_;
};

Json kernels_of(const std::vector<quant::LayerChoice>& choices) {
  std::map<std::string, int> counts;
  for (const quant::LayerChoice& choice : choices) ++counts[choice.kernel];
  return counts;
}

/// Seconds from the file to an engine ready to run: reading and checking, then packing for kernels known from before.
Json load_report(const Settings& s, const PackedFile& file, const quant::EngineOptions& options) {
  const double parsing = times(s.seconds / 4, [&] { quant::PackedNetwork::load(file.path()); })[0];
  const double whole = times(s.seconds / 4, [&] { quant::Engine::load(file.path(), options); })[0];
  return {{"whole", whole}, {"parsing", parsing}};
}

Json packed_report(const Settings& s) {
  const PackedFile file(s);
  const quant::EngineOptions options{
      .threads = threads(), .exact = s.exact, .kernel = s.kernel, .choices = file.choices()};
  const auto start = std::chrono::steady_clock::now();
  quant::Engine engine = quant::Engine::load(file.path(), options);
  const double first = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  Json timed = Json::array();
  Rng rng(1, Purpose::Test);
  for (const int64_t batch : s.batches) {
    std::vector<uint8_t> rgb(static_cast<size_t>(batch * engine.image_size() * engine.image_size() * 3));
    for (uint8_t& v : rgb) v = static_cast<uint8_t>(rng.uniform(0, 256));
    std::vector<float> logits(static_cast<size_t>(batch * engine.classes()));
    timed.push_back(time_report(batch, times(s.seconds, [&] { engine.run(rgb, batch, logits); })));
  }
  return {{"bits", s.bits},
          {"exact", engine.exact()},
          {"times", timed},
          {"load_seconds", load_report(s, file, options)},
          {"first_load_seconds", first},
          {"file_bytes", std::filesystem::file_size(file.path())},
          {"weight_bytes", engine.weight_bytes()},
          {"buffer_bytes", engine.buffer_bytes()},
          {"latency_kernels", kernels_of(engine.latency_choices())},
          {"throughput_kernels", kernels_of(engine.throughput_choices())}};
}

/// The network as it was before quantization.
Json float_report(const Settings& s) {
  nn::Network net = random_network(s);
  nn::ConvWeightCache weights;
  const nn::RunContext context{.precision = s.how == "bf16" ? DType::BF16 : DType::F32, .weights = &weights};
  const Shape& shape = net.input_shape();
  Json timed = Json::array();
  Rng rng(1, Purpose::Test);
  for (const int64_t batch : s.batches) {
    Tensor images = Tensor::activation(shape[0], shape[1], batch, shape[3]);
    for (int64_t r = 0; r < images.rows(); ++r)
      for (int64_t c = 0; c < shape[3]; ++c) images.row<float>(r)[c] = static_cast<float>(rng.uniform(-1, 1));
    timed.push_back(time_report(batch, times(s.seconds, [&] { net.forward(images, context); })));
  }
  int64_t numbers = 0;
  for (const nn::Parameter& p : net.parameters()) numbers += p.var.value().count();
  return {{"times", timed}, {"weight_bytes", 4 * numbers}};
}

Json machine() {
  return {{"processor", cpu().model},
          {"features", cpu_feature_list()},
          {"clock_ghz", clock_rate() * 1e-9},
          {"fma_peak_gflops", std::round(fma_peak() * 1e-9)},
          {"bf16_peak_gflops", std::round(bf16_peak() * 1e-9)}};
}

Json report(const Settings& s) {
  Json json = {{"net", s.net}, {"how", s.how}, {"threads", threads()}, {"isa", name_of(isa_level())}};
  json.update(s.how == "packed" ? packed_report(s) : float_report(s));
  json["peak_rss_mb"] = std::round(static_cast<double>(peak_resident_bytes()) / 1e6);
  return json;
}

}  // namespace
}  // namespace kronbit

int main(int argc, char** argv) {
  using namespace kronbit;
  Settings s;
  bool facts = false;
  CLI::App app{"Times a deployed network; prints one JSON line.", "bench_deployed"};
  app.add_option("--net", s.net, "network: vgg16, resnet18, ...")->capture_default_str();
  app.add_option("--how", s.how, "packed, fp32 or bf16")->check(CLI::IsMember({"packed", "fp32", "bf16"}));
  app.add_option("--bits", s.bits, "bits per layer of the packed network")->capture_default_str();
  app.add_option("--batches", s.batches, "images at a time, each of them timed")->delimiter(',');
  app.add_option("--seconds", s.seconds, "for each of them")->check(CLI::Range(0.0, 1e6))->capture_default_str();
  app.add_option("--threads", s.threads, "0: as many as there are processors")->check(CLI::Range(0, 1024));
  app.add_option("--kernel", s.kernel, "forced on every layer that it accepts");
  app.add_option("--isa", s.isa, "highest instruction set: avx2, avx512, avx512bf16 or amx (or KRONBIT_ISA)")
      ->envname("KRONBIT_ISA");
  app.add_flag("--exact", s.exact, "integer products only");
  app.add_flag("--machine", facts, "only what the processor is and what a core of it does at most");
  CLI11_PARSE(app, argc, argv);
  try {
    limit_isa(s.isa);
    if (s.threads > 0) set_threads(s.threads);
    std::printf("%s\n", dump_line(facts ? machine() : report(s)).c_str());
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
  return 0;
}
