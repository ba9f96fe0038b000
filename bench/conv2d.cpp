// Convolutions of real networks: forward, gradient of the data, gradient of the weights, in FP32 and bf16, with oneDNN
// beside ours where it was there to build against (libdnnl-dev). FLOPs are those of the padded convolution, as papers
// count them; per second of processor time of all threads together (taskset -c 0 for one thread: waiting threads spin).
// Ours includes the packing of weights from FP32 and gradients of them in FP32; oneDNN gets its operands in the layouts
// it likes best.
#include "nn/ops/conv2d.h"

#include <map>

#include "bench/machine.h"
#ifdef KRONBIT_ONEDNN
#include "bench/peers/onednn_conv.h"
#else
namespace kronbit {
enum class Pass { Forward, Data, Weights };
}
#endif
#include "tensor/rng.h"

namespace kronbit {
namespace {

struct Layer {
  const char* name;
  int64_t size, images;  // height = width of the input
  nn::Conv2dOptions options;
};
const Layer kLayers[] = {{"resnet20 first", 32, 128, {3, 16, 3, 3, 1, 1}},
                         {"resnet20 layer1", 32, 128, {16, 16, 3, 3, 1, 1}},
                         {"resnet20 layer2.0", 32, 128, {16, 32, 3, 3, 2, 1}},
                         {"resnet20 layer2", 16, 128, {32, 32, 3, 3, 1, 1}},
                         {"resnet20 layer3", 8, 128, {64, 64, 3, 3, 1, 1}},
                         {"vgg16 conv2", 32, 128, {64, 64, 3, 3, 1, 1}},
                         {"vgg16 conv4", 16, 128, {128, 128, 3, 3, 1, 1}},
                         {"vgg16 conv7", 8, 128, {256, 256, 3, 3, 1, 1}},
                         {"vgg16 conv10", 4, 128, {512, 512, 3, 3, 1, 1}},
                         {"vgg16 conv13", 2, 128, {512, 512, 3, 3, 1, 1}},
                         {"resnet18 downsample", 16, 128, {128, 256, 1, 1, 2, 0}},
                         {"resnet18 layer4", 4, 250, {512, 512, 3, 3, 1, 1}},
                         {"resnet50 stem", 224, 16, {3, 64, 7, 7, 2, 3}},
                         {"resnet20 layer3", 8, 1, {64, 64, 3, 3, 1, 1}},
                         {"vgg16 conv2", 32, 1, {64, 64, 3, 3, 1, 1}},
                         {"vgg16 conv4", 16, 1, {128, 128, 3, 3, 1, 1}},
                         {"vgg16 conv7", 8, 1, {256, 256, 3, 3, 1, 1}},
                         {"vgg16 conv10", 4, 1, {512, 512, 3, 3, 1, 1}},
                         {"vgg16 conv13", 2, 1, {512, 512, 3, 3, 1, 1}}};

constexpr const char* kPasses[] = {"forward", "data", "weights"};

struct Case {
  Layer layer;
  Pass pass;
  DType type;
  std::string name() const {
    return fmt::format("{} {}, {} images/{}/{}", layer.name, nn::describe(layer.options), layer.images,
                       kPasses[static_cast<int>(pass)], name_of(type));
  }
};

Tensor random_numbers(Tensor t) {
  Rng rng(1, Purpose::Test);
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t c = 0; c < t.cols(); ++c) t.row<float>(r)[c] = static_cast<float>(rng.uniform(-1, 1));
  return t;
}

/// Times once() and returns its FLOP per second of processor time.
template <class Once>
double time_passes(benchmark::State& state, const Case& c, const Once& once) {
  const Shape out = nn::conv2d_output_shape({c.layer.size, c.layer.size, c.layer.images, c.layer.options.in_channels},
                                            c.layer.options);
  const nn::Conv2dOptions& o = c.layer.options;
  const double flops = 2.0 * static_cast<double>(out.count() * o.in_channels * o.kernel_h * o.kernel_w);
  once();  // memory pools fill
  const double start = process_seconds();
  for (auto _ : state) once();
  const double seconds = process_seconds() - start;
  count_flops(state, flops, c.type);
  return flops * static_cast<double>(state.iterations()) / seconds;
}

double run_ours(benchmark::State& state, const Case& c) {
  const nn::Conv2dOptions& o = c.layer.options;
  const Tensor x =
      random_numbers(Tensor::activation(c.layer.size, c.layer.size, c.layer.images, o.in_channels)).to(c.type);
  const Tensor w = random_numbers(Tensor::zeros({o.out_channels, o.in_channels, o.kernel_h, o.kernel_w}));
  const Shape out = nn::conv2d_output_shape(x.shape(), o);
  const Tensor dy = random_numbers(Tensor::activation(out[0], out[1], out[2], out[3])).to(c.type);
  Tensor result;
  return time_passes(state, c, [&] {
    if (c.pass == Pass::Forward) result = nn::conv2d_forward(x, w, o);
    if (c.pass == Pass::Data) result = nn::conv2d_backward_data(dy, w, x.shape(), o);
    if (c.pass == Pass::Weights) result = nn::conv2d_backward_weights(dy, x, o);
    benchmark::ClobberMemory();
  });
}

#ifdef KRONBIT_ONEDNN
double run_onednn(benchmark::State& state, const Case& c) {
  try {
    OnednnConv conv(c.layer.options, c.layer.size, c.layer.images, c.pass, c.type);
    state.SetLabel(conv.implementation());
    return time_passes(state, c, [&] { conv.run(); });
  } catch (const Error& e) {
    state.SkipWithError(e.what());
    return 0;
  }
}
#endif

void add(const std::string& name, const std::function<void(benchmark::State&)>& run) {
  benchmark::RegisterBenchmark(name.c_str(), run)->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond);
}

/// Ours, then oneDNN's with the counter "ours/onednn": how many times faster ours was just before.
void add_both(const Case& c) {
  static std::map<std::string, double> rates;  // of ours
  const std::string name = c.name();
  add(name + "/kronbit", [=](benchmark::State& state) { rates[name] = run_ours(state, c); });
#ifdef KRONBIT_ONEDNN
  add(name + "/onednn", [=](benchmark::State& state) {
    const double rate = run_onednn(state, c), ours = rates[name];
    if (rate > 0 && ours > 0) state.counters["ours/onednn"] = ours / rate;
  });
#endif
}

}  // namespace
}  // namespace kronbit

int main(int argc, char** argv) {
  using namespace kronbit;
  for (const Layer& layer : kLayers) {
    for (Pass pass : {Pass::Forward, Pass::Data, Pass::Weights}) {
      for (DType type : {DType::F32, DType::BF16}) add_both({layer, pass, type});
    }
  }
  describe_machine();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
