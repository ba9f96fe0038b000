// The block products of deployed convolutions: every kernel this machine runs, on layers of real networks, with
// oneDNN's convolutions of the same shape beside them where it was there to build against (libdnnl-dev; the environment
// variable ONEDNN_MAX_CPU_ISA limits it).
//
// Rows and taps are cut as the engine cuts them; sums stay in a buffer of one chunk, where the engine would normalize
// and quantize them. Activations are quantized and weights packed beforehand. oneDNN gets its operands in the layouts
// it likes best and writes its whole result. Multiply-adds on padding are not counted for either.
//
// Names: layer/images/threads/weights and activations/kernel. Without --benchmark_filter: one thread, one and 128
// images, the best kernel of each family at a few bits.
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bench/machine.h"
#ifdef KRONBIT_ONEDNN
#include "bench/peers/onednn_conv.h"
#endif
#include "quant/engine/choice.h"
#include "tensor/memory.h"
#include "tensor/rng.h"

namespace kronbit::quant {
namespace {

struct Layer {
  const char* name;
  int64_t size;  // height = width of the input
  nn::Conv2dOptions conv;
};
const Layer kLayers[] = {
    {"3x3 64 at 32x32", 32, {64, 64, 3, 3, 1, 1}},         {"3x3 128 at 16x16", 16, {128, 128, 3, 3, 1, 1}},
    {"3x3 256 at 8x8", 8, {256, 256, 3, 3, 1, 1}},         {"3x3 512 at 4x4", 4, {512, 512, 3, 3, 1, 1}},
    {"3x3 512 at 2x2", 2, {512, 512, 3, 3, 1, 1}},         {"1x1 256 to 64 at 8x8", 8, {256, 64, 1, 1, 1, 0}},
    {"1x1 512 to 2048 at 8x8", 8, {512, 2048, 1, 1, 1, 0}}};

/// One layer on some images and threads.
struct Setting {
  const Layer* layer;
  int64_t images;
  int threads;
  std::string name() const { return fmt::format("{}/images {}/threads {}", layer->name, images, threads); }
  /// Multiply-adds inside the image.
  double macs() const {
    int64_t inside = 0;
    const auto groups = row_groups(layer->conv, layer->size, layer->size, images, Border::Grouped);
    for (const RowGroup& group : groups) inside += std::ssize(group.rows) * std::ssize(group.taps);
    return static_cast<double>(inside * layer->conv.in_channels * layer->conv.out_channels);
  }
};

std::shared_ptr<std::byte> zeroed(int64_t bytes) {
  auto memory = std::static_pointer_cast<std::byte>(allocate(static_cast<size_t>(bytes)));
  std::memset(memory.get(), 0, static_cast<size_t>(bytes));
  return memory;
}

/// Weights of a layer, kept for the next kernel.
const PackedLayer& weights_of(const Layer& layer, int bits) {
  static std::map<std::pair<const Layer*, int>, PackedLayer> known;
  const auto [at, fresh] = known.try_emplace({&layer, bits});
  if (fresh) {
    const nn::Conv2dOptions& c = layer.conv;
    Tensor w = Tensor::zeros({c.out_channels, c.in_channels, c.kernel_h, c.kernel_w});
    Rng rng(1, Purpose::Test);
    for (int64_t i = 0; i < w.stored(); ++i) w.data<float>()[i] = static_cast<float>(rng.normal());
    at->second =
        pack_layer(layer.name, quantize_weights(w, bits, mode_at(Mode::SignedExtreme, bits)), MultiplierFormat::F16);
  }
  return at->second;
}

ConvSite site_of(const Layer& layer, int bits) {
  const nn::Conv2dOptions& c = layer.conv;
  const PackedLayer& weights = weights_of(layer, bits);
  return {.layer = layer.name,
          .conv = c,
          .height = layer.size,
          .width = layer.size,
          .shape = {c.out_channels, c.in_channels, c.kernel_h * c.kernel_w, bits, weights.mode, {bits, false, kBlock}},
          .weights = &weights};
}

/// A layer ready to run with one kernel.
class Product {
 public:
  Product(const Setting& setting, const BlockKernel& kernel, int bits)
      : kernel_(kernel),
        site_(site_of(*setting.layer, bits)),
        weights_(zeroed(weight_bytes())),
        x_(site_, setting.images, kernel.form) {
    kernel_.pack(site_.shape, *site_.weights, 0, site_.shape.panels(), weights_.get());
    cut(setting);
  }
  int64_t weight_bytes() const { return kernel_.packed_bytes(site_.shape); }

  void run() const {
    parallel_for(std::ssize(items_), 1, [&](int64_t begin, int64_t end) {
      static thread_local std::vector<float> sums;
      for (int64_t i = begin; i < end; ++i) {
        const Item& item = items_[static_cast<size_t>(i)];
        const int64_t pitch = 16 * item.panels;
        sums.resize(std::max(sums.size(), static_cast<size_t>(item.rows * pitch)));
        kernel_.run(site_.shape, weights_.get(), x_.out.view(),
                    {item.taps, item.rows, item.first_panel, item.panels, sums.data(), pitch});
      }
    });
  }

 private:
  struct Item {
    std::vector<Tap> taps;
    int64_t rows, first_panel, panels;
  };

  /// Chunks of rows, and of outputs where those are fewer than threads. A map of one chunk reads zero rows for padding,
  /// so that its weights are read once.
  void cut(const Setting& setting) {
    const Layer& layer = *setting.layer;
    const int64_t chunk = chunk_rows(site_.shape.outputs), pixels = layer.size * layer.size * setting.images;
    groups_ = row_groups(layer.conv, layer.size, layer.size, setting.images,
                         pixels <= chunk ? Border::Padded : Border::Grouped);
    int64_t chunks = 0;
    for (const RowGroup& group : groups_) chunks += chunk_count(std::ssize(group.rows), chunk);
    const int64_t pairs = site_.shape.panels() / 2, wanted = setting.threads == 1 ? 1 : 3 * setting.threads;
    const int64_t parts = std::clamp<int64_t>(chunk_count(wanted, chunks), 1, pairs);
    for (const RowGroup& group : groups_) {
      for (int64_t begin = 0; begin < std::ssize(group.rows); begin += chunk) {
        std::vector<Tap> taps;
        for (const RowGroup::TapRows& tap : group.taps) taps.push_back({tap.x_rows.data() + begin, tap.tap});
        for (int64_t part = 0; part < parts; ++part) {
          const int64_t first = pairs * part / parts, last = pairs * (part + 1) / parts;
          items_.push_back({taps, std::min(chunk, std::ssize(group.rows) - begin), 2 * first, 2 * (last - first)});
        }
      }
    }
  }

  const BlockKernel& kernel_;
  const ConvSite site_;
  std::shared_ptr<std::byte> weights_;
  SampleRows x_;
  std::vector<RowGroup> groups_;
  std::vector<Item> items_;
};

double clock_of_run() {
  static const double rate = clock_rate();
  return rate;
}

/// Times once() and writes the counters, from the best of its runs: MAC/cycle per second of processor time of all
/// threads, which other programs disturb little, and GOP/s (a multiply-add is two), of several threads by the clock on
/// the wall. Returns multiply-adds per second.
template <class Once>
double time_product(benchmark::State& state, const Setting& s, const Once& once) {
  struct Seconds {
    double processor = process_seconds(), wall = seconds_of(CLOCK_MONOTONIC);
  };
  once();
  const Seconds before;
  once();
  const double estimate = Seconds().wall - before.wall;
  const auto batch = static_cast<int64_t>(std::clamp(1e-4 / estimate, 1.0, 1e4));  // reading a clock takes time, too
  Seconds best{1e300, 1e300};
  while (state.KeepRunningBatch(batch)) {
    const Seconds start;
    for (int64_t i = 0; i < batch; ++i) once();
    const Seconds end;
    best.processor = std::min(best.processor, (end.processor - start.processor) / static_cast<double>(batch));
    best.wall = std::min(best.wall, (end.wall - start.wall) / static_cast<double>(batch));
  }
  const double rate = s.macs() / (s.threads == 1 ? best.processor : best.wall);
  state.counters["MAC/cycle"] = s.macs() / best.processor / clock_of_run();
  state.counters["GOP/s"] = 2e-9 * rate;
  return rate;
}

/// Rates of oneDNN by setting and type of number.
std::map<std::string, double>& peer_rates() {
  static std::map<std::string, double> rates;
  return rates;
}

void run_kernel(benchmark::State& state, const Setting& s, const BlockKernel& kernel, int bits) {
  set_threads(s.threads);
  const Product product(s, kernel, bits);
  const double rate = time_product(state, s, [&] { product.run(); });
  state.counters["weights"] = benchmark::Counter(static_cast<double>(product.weight_bytes()),
                                                 benchmark::Counter::kDefaults, benchmark::Counter::kIs1024);
  for (const char* type : {"f32", "bf16", "s8"}) {
    const auto peer = peer_rates().find(s.name() + type);
    if (peer != peer_rates().end()) state.counters[fmt::format("x {}", type)] = rate / peer->second;
  }
}

void add(const std::string& name, const std::function<void(benchmark::State&)>& run) {
  benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kMillisecond);
}

#ifdef KRONBIT_ONEDNN
/// type: "f32", "bf16" or "s8".
void add_onednn(const Setting& s, const std::string& type) {
  add(fmt::format("{}/onednn {}", s.name(), type), [=](benchmark::State& state) {
    set_threads(s.threads);
    const auto& [name, size, conv] = *s.layer;
    try {
      OnednnConv peer = type == "s8"
                            ? OnednnConv(conv, size, s.images, Int8())
                            : OnednnConv(conv, size, s.images, Pass::Forward, type == "f32" ? DType::F32 : DType::BF16);
      state.SetLabel(peer.implementation());
      peer_rates()[s.name() + type] = time_product(state, s, [&] { peer.run(); });
    } catch (const Error& e) {
      state.SkipWithError(e.what());
    }
  });
}
#endif

/// Bits at which a family is timed unless a filter asks for others: only planes cost by the bit.
bool is_usual(const BlockKernel& kernel, int bits) {
  if (kernel.family == "bitserial") return bits <= 2;
  if (kernel.family == "packed") return bits == 2 || bits == 4;
  return bits == 4;
}

void add_kernels(const Setting& s, bool usual_only) {
  std::set<std::string_view> families;
  for (const BlockKernel* kernel : block_kernels()) {
    if (!kernel->supported()) continue;
    const bool best = families.insert(kernel->family).second && kernel->family != "reference";
    for (int bits = 1; bits <= 8; ++bits) {
      if (usual_only && !(best && is_usual(*kernel, bits))) continue;
      add(fmt::format("{}/w{}a{}/{}", s.name(), bits, bits, kernel->name),
          [=](benchmark::State& state) { run_kernel(state, s, *kernel, bits); });
    }
  }
}

}  // namespace
}  // namespace kronbit::quant

int main(int argc, char** argv) {
  using namespace kronbit;
  using namespace kronbit::quant;
  describe_machine();
  bool usual_only = true;
  for (int i = 1; i < argc; ++i)
    usual_only = usual_only && !std::string_view(argv[i]).starts_with("--benchmark_filter");
  const int all = threads();
  for (const Layer& layer : kLayers) {
    for (const int64_t images : {1, 8, 128}) {
      for (const int count : std::set<int>{1, all}) {
        if (usual_only && (images == 8 || count != 1)) continue;
        const Setting setting{&layer, images, count};
#ifdef KRONBIT_ONEDNN
        for (const char* type : {"f32", "bf16", "s8"}) add_onednn(setting, type);
#endif
        add_kernels(setting, usual_only);
      }
    }
  }
  std::vector<char*> arguments(argv, argv + argc);
  std::string short_runs = "--benchmark_min_time=0.05";  // the best run counts; an argument given goes before it
  arguments.insert(arguments.begin() + 1, short_runs.data());
  arguments.push_back(nullptr);
  ++argc;
  benchmark::Initialize(&argc, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(argc, arguments.data())) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
