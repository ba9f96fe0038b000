// Convolutions of real networks: forward, gradient of the data, gradient of the weights. FLOPs are those of the padded
// convolution, as papers count them; per second of processor time of all threads together (taskset -c 0 for one
// thread: waiting threads spin).
#include "nn/ops/conv2d.h"

#include "bench/machine.h"
#include "tensor/rng.h"

namespace kronbit::nn {
namespace {

struct Layer {
  const char* name;
  int64_t size, images;  // height = width of the input
  Conv2dOptions options;
};
const Layer kLayers[] = {
    {"resnet20 first", 32, 128, {3, 16, 3, 3, 1, 1}},         {"resnet20 layer1", 32, 128, {16, 16, 3, 3, 1, 1}},
    {"resnet20 layer2.0", 32, 128, {16, 32, 3, 3, 2, 1}},     {"resnet20 layer2", 16, 128, {32, 32, 3, 3, 1, 1}},
    {"resnet20 layer3", 8, 128, {64, 64, 3, 3, 1, 1}},        {"vgg16 conv2", 32, 128, {64, 64, 3, 3, 1, 1}},
    {"vgg16 conv4", 16, 128, {128, 128, 3, 3, 1, 1}},         {"vgg16 conv7", 8, 128, {256, 256, 3, 3, 1, 1}},
    {"vgg16 conv10", 4, 128, {512, 512, 3, 3, 1, 1}},         {"vgg16 conv13", 2, 128, {512, 512, 3, 3, 1, 1}},
    {"resnet18 downsample", 16, 128, {128, 256, 1, 1, 2, 0}}, {"resnet18 layer4", 4, 250, {512, 512, 3, 3, 1, 1}},
    {"resnet50 stem", 224, 16, {3, 64, 7, 7, 2, 3}},          {"resnet20 layer3", 8, 1, {64, 64, 3, 3, 1, 1}}};

enum class Pass { Forward, Data, Weights };
constexpr const char* kPasses[] = {"forward", "data", "weights"};

Tensor random_numbers(Tensor t) {
  Rng rng(1, Purpose::Test);
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t c = 0; c < t.cols(); ++c) t.row<float>(r)[c] = static_cast<float>(rng.uniform(-1, 1));
  return t;
}

void run(benchmark::State& state, const Layer& layer, Pass pass) {
  const Conv2dOptions& o = layer.options;
  const Tensor x = random_numbers(Tensor::activation(layer.size, layer.size, layer.images, o.in_channels));
  const Tensor w = random_numbers(Tensor::zeros({o.out_channels, o.in_channels, o.kernel_h, o.kernel_w}));
  const Shape out = conv2d_output_shape(x.shape(), o);
  const Tensor dy = random_numbers(Tensor::activation(out[0], out[1], out[2], out[3]));
  const auto once = [&] {
    if (pass == Pass::Forward) return conv2d_forward(x, w, o);
    if (pass == Pass::Data) return conv2d_backward_data(dy, w, x.shape(), o);
    return conv2d_backward_weights(dy, x, o);
  };
  once();  // the memory pool fills
  for (auto _ : state) benchmark::DoNotOptimize(once().data<float>());
  count_flops(state, 2.0 * static_cast<double>(out.count() * o.in_channels * o.kernel_h * o.kernel_w));
}

}  // namespace
}  // namespace kronbit::nn

int main(int argc, char** argv) {
  using namespace kronbit;
  for (const nn::Layer& layer : nn::kLayers) {
    for (nn::Pass pass : {nn::Pass::Forward, nn::Pass::Data, nn::Pass::Weights}) {
      const std::string name = fmt::format("{} {}, {} images/{}", layer.name, nn::Conv2d(layer.options).describe(),
                                           layer.images, nn::kPasses[static_cast<int>(pass)]);
      benchmark::RegisterBenchmark(name.c_str(),
                                   [&layer, pass](benchmark::State& state) { nn::run(state, layer, pass); })
          ->MeasureProcessCPUTime()
          ->Unit(benchmark::kMillisecond);
    }
  }
  describe_machine();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
