// The kernels of NVIDIA GPUs, timed on one: copies, block products beside cuBLASLt's product of the same size,
// convolutions of training, whole networks and whole steps of training. One JSON line for each measurement;
// bench/cuda.py writes the page and sets PyTorch beside them. With --device simulated the same program runs, small, to
// test itself.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <vector>

#include "bench/peers/cublaslt.h"
#include "nn/cuda/device_network.h"
#include "nn/cuda/device_ops.h"
#include "nn/models/models.h"
#include "nn/ops/conv2d.h"
#include "quant/assign.h"
#include "quant/engine/device/device_engine.h"
#include "quant/kernels/cuda/device_product.h"
#include "quant/packed.h"
#include "tensor/io/json.h"
#include "tensor/rng.h"

namespace kronbit {
namespace {

struct Settings {
  std::string device = "cuda";
  bool quick = false;
  double seconds = 0.05;  ///< of every measurement
};

void print(const Json& line) {
  fmt::print("{}\n", dump_line(line));
  std::fflush(stdout);
}

/// Numbers of both signs in the device's memory.
template <class T>
DeviceArray<T> noise(Device& device, int64_t count) {
  std::vector<T> numbers(static_cast<size_t>(count));
  for (size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = static_cast<T>(static_cast<float>(i * 2654435761u % 1021) / 512 - 1);
  return {device, numbers};
}

class Bench {
 public:
  Bench(Device& device, const Settings& settings) : device_(device), settings_(settings) {}

  /// Returns: whether all sections ran to their end; what a section throws does not keep the next from running.
  bool run() {
    const DeviceProperties p = device_.properties();
    print({{"what", "device"},
           {"name", p.name},
           {"capability", p.capability},
           {"multiprocessors", p.multiprocessors},
           {"memory_bytes", p.memory_bytes}});
    bool whole = true;
    for (const Section& section :
         {Section{"copies", &Bench::copies}, Section{"block products", &Bench::products},
          Section{"convolutions of training", &Bench::convolutions}, Section{"packed networks", &Bench::networks},
          Section{"steps of training", &Bench::trainings}}) {
      try {
        (this->*section.measure)();
      } catch (const std::exception& error) {
        whole = false;
        print({{"what", "failure"}, {"section", section.name}, {"why", error.what()}});
      }
    }
    return whole;
  }

 private:
  struct Section {
    const char* name;
    void (Bench::*measure)();
  };
  bool small() const { return settings_.quick || device_.simulated(); }
  DeviceQueue queue() const { return {device_.stream(), false}; }

  /// Seconds of one call: the median of as many rounds as fit the time, at least three.
  double seconds_of(const std::function<void()>& work) {
    work();  // what is only done once
    double first = device_.seconds(work);
    const int calls = static_cast<int>(std::clamp(0.005 / std::max(first, 1e-7), 1.0, 1000.0));
    std::vector<double> rounds;
    double sum = 0;
    while (rounds.size() < 3 || (sum < settings_.seconds && rounds.size() < 100)) {
      const double seconds = device_.seconds([&] {
        for (int i = 0; i < calls; ++i) work();
      });
      rounds.push_back(seconds / calls);
      sum += seconds;
      if (device_.simulated()) break;
    }
    std::ranges::sort(rounds);
    return rounds[rounds.size() / 2];
  }

  void copies() {
    if (small()) return;
    constexpr int64_t kCount = int64_t{1} << 30;
    DeviceArray<std::byte> memory(device_, kCount);
    const double seconds = seconds_of([&] { memory.zero(); });
    print({{"what", "zeroing"}, {"bytes", kCount}, {"gb_per_second", static_cast<double>(kCount) / seconds / 1e9}});
  }

  /// A 3x3 convolution of a network for 32x32 images.
  struct Site {
    int64_t channels, size;
  };
  std::vector<Site> sites() const {
    if (small()) return {{32, 4}};
    return {{64, 32}, {128, 16}, {256, 8}, {512, 4}};
  }
  std::vector<int64_t> batches() const {
    if (small()) return {2};
    return {1, 32, 512};
  }

  /// cuBLASLt's product of the same M, N, K as the convolution.
  Json peer(int64_t m, int64_t n, int64_t k) {
    std::string why;
    const double seconds = bench::cublaslt_seconds(device_, m, n, k, 20, why);
    return seconds > 0 ? Json(seconds * 1e6) : Json(nullptr);
  }

  void products() {
    for (const Site& site : sites()) {
      for (const int64_t images : batches()) {
        const nn::Conv2dOptions conv{
            .in_channels = site.channels, .out_channels = site.channels, .kernel_h = 3, .kernel_w = 3, .pad = 1};
        const int64_t rows = site.size * site.size * images;
        const Json cublaslt = peer(rows, site.channels, 9 * site.channels);
        for (const int bits : small() ? std::vector<int>{2} : std::vector<int>{1, 2, 4, 8})
          product(conv, site.size, images, bits, cublaslt);
      }
    }
  }

  void product(const nn::Conv2dOptions& conv, int64_t size, int64_t images, int bits, const Json& cublaslt) {
    const quant::Mode mode = quant::mode_at(quant::Mode::SignedExtreme, bits);
    const quant::DeviceConv site{.layer = {.outputs = conv.out_channels,
                                           .channels = conv.in_channels,
                                           .taps = 9,
                                           .bits = bits,
                                           .mode = mode,
                                           .activations = {bits, false, kBlock}},
                                 .conv = conv,
                                 .height = size,
                                 .width = size,
                                 .images = images};
    Tensor w = Tensor::zeros({conv.out_channels, conv.in_channels, 3, 3});
    Rng rng(3, Purpose::Test);
    for (int64_t i = 0; i < w.count(); ++i) w.data<float>()[i] = static_cast<float>(rng.normal());
    const quant::PackedLayer layer =
        quant::pack_layer("layer", quant::quantize_weights(w, bits, mode), quant::MultiplierFormat::F32);
    DeviceArray<float> x = noise<float>(device_, site.in_rows() * conv.in_channels);
    DeviceArray<float> y(device_, site.out_rows() * conv.out_channels);
    const int64_t blocks = site.layer.blocks();
    DeviceArray<std::byte> mantissas(device_, 64 * site.in_rows() * blocks);
    DeviceArray<float> steps(device_, site.in_rows() * blocks);
    DeviceArray<int32_t> sums(device_, site.in_rows() * blocks);
    const quant::DeviceKernels kernels = quant::device_kernels(device_);
    for (const quant::DeviceKernel* kernel : kernels.products) {
      if (kernel->declines(site) != nullptr) continue;
      std::vector<std::byte> packed(static_cast<size_t>(kernel->packed_bytes(site.layer)));
      kernel->pack(site.layer, layer, packed.data());
      DeviceArray<std::byte> weights(device_, packed);
      const quant::DeviceRows rows{kernel->form,     site.layer.activations, blocks,
                                   mantissas.data(), steps.data(),           sums.data()};
      const double pack =
          seconds_of([&] { kernels.pack_rows(x.data(), conv.in_channels, site.in_rows(), rows, queue()); });
      const double run =
          seconds_of([&] { kernel->run(site, weights.data(), rows, y.data(), conv.out_channels, queue()); });
      const double products = 9.0 * static_cast<double>(site.out_rows() * conv.in_channels * conv.out_channels);
      print({{"what", "product"},
             {"kernel", kernel->name},
             {"channels", conv.in_channels},
             {"size", size},
             {"images", images},
             {"bits", bits},
             {"microseconds", run * 1e6},
             {"pack_microseconds", pack * 1e6},
             {"tera_products_per_second", products / run / 1e12},
             {"cublaslt_microseconds", cublaslt}});
    }
  }

  void convolutions() {
    const nn::DeviceOps& ops = nn::device_ops(device_);
    for (const Site& site : sites()) {
      const int64_t images = small() ? 2 : 512;
      const auto c = static_cast<int>(site.channels), size = static_cast<int>(site.size);
      const nn::ConvGeometry g{.height = size,
                               .width = size,
                               .images = static_cast<int>(images),
                               .channels = c,
                               .outputs = c,
                               .kernel_h = 3,
                               .kernel_w = 3,
                               .stride = 1,
                               .pad = 1};
      DeviceArray<bf16> x = noise<bf16>(device_, int64_t{g.rows()} * g.pitch()),
                        y = noise<bf16>(device_, int64_t{g.out_rows()} * g.out_pitch());
      DeviceArray<float> w = noise<float>(device_, int64_t{9} * c * c), dw(device_, w.count()),
                         workspace(device_, nn::weight_gradient_workspace(g));
      DeviceArray<bf16> forward(device_, nn::packed_weights(g)), backward(device_, nn::packed_weights(g));
      ops.pack_weights(g, w.data(), forward.data(), backward.data(), queue());
      const auto report = [&](const char* direction, const std::function<void()>& work, const Json& cublaslt) {
        const double seconds = seconds_of(work);
        print({{"what", "convolution"},
               {"direction", direction},
               {"channels", c},
               {"size", size},
               {"images", images},
               {"microseconds", seconds * 1e6},
               {"tflops", 18.0 * g.out_rows() * c * c / seconds / 1e12},
               {"cublaslt_microseconds", cublaslt}});
      };
      const Json plain = peer(g.rows(), c, 9 * c);
      report(
          "forward", [&] { ops.conv_forward(g, x.data(), forward.data(), y.data(), {}, queue()); }, plain);
      report(
          "data", [&] { ops.conv_backward_data(g, y.data(), backward.data(), x.data(), queue()); }, plain);
      report(
          "weights", [&] { ops.conv_backward_weights(g, y.data(), x.data(), workspace.data(), dw.data(), queue()); },
          peer(9 * c, c, g.rows()));
    }
  }

  nn::Network network(const std::string& name, int bits) const {
    nn::Network net = nn::build(name, {});
    net.initialize(1);
    if (bits > 0) quant::assign_bits(net, Bits(net.convolutions().size(), bits));
    return net;
  }

  static Tensor images_of(const nn::Network& net, int64_t count) {
    const Shape& shape = net.input_shape();
    Tensor x = Tensor::activation(shape[0], shape[1], count, shape[3]);
    Rng rng(1, Purpose::Test);
    for (int64_t r = 0; r < x.rows(); ++r)
      for (int64_t c = 0; c < shape[3]; ++c) x.row<float>(r)[c] = static_cast<float>(rng.uniform(-1, 1));
    return x;
  }

  /// Seconds by the host's clock: with the copies that a caller pays for.
  double host_seconds_of(const std::function<void()>& work) {
    using Clock = std::chrono::steady_clock;
    work();
    std::vector<double> rounds;
    double sum = 0;
    while (rounds.size() < 3 || (sum < 10 * settings_.seconds && rounds.size() < 200)) {
      const Clock::time_point start = Clock::now();
      work();
      rounds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
      sum += rounds.back();
      if (device_.simulated()) break;
    }
    std::ranges::sort(rounds);
    return rounds[rounds.size() / 2];
  }

  /// Many images are computed in other tiles than one, with the same bits.
  /// Throws: Error where the logits of an image are others among `images` than alone
  static void compare_groups(quant::DeviceEngine& engine, const std::string& name, int64_t images) {
    const Tensor x = images_of(engine.network(), images);
    const Tensor together = engine.classify(x);
    for (const int64_t n : {int64_t{0}, images / 2, images - 1}) {
      Tensor one = Tensor::activation(x.height(), x.width(), 1, x.channels());
      for (int64_t p = 0; p < x.height() * x.width(); ++p)
        std::copy_n(x.row<float>(p * images + n), x.channels(), one.row<float>(p));
      const Tensor alone = engine.classify(one);
      if (std::memcmp(alone.row<float>(0), together.row<float>(n), static_cast<size_t>(alone.cols()) * sizeof(float)) !=
          0)
        throw Error(
            fmt::format("[{}] image {}: the exact logits are others among {} images than alone", name, n, images));
    }
  }

  void networks() {
    for (const std::string& name :
         small() ? std::vector<std::string>{"toy10"} : std::vector<std::string>{"resnet20", "resnet18", "vgg16"}) {
      const quant::PackedNetwork packed = quant::pack(network(name, 4));
      for (const bool exact : {true, false}) {
        quant::DeviceEngine engine(packed, device_, {.exact = exact});
        if (exact) compare_groups(engine, name, device_.simulated() ? 2 : 256);
        for (const int64_t images : small() ? std::vector<int64_t>{1} : std::vector<int64_t>{1, 256}) {
          const Tensor x = images_of(engine.network(), images);
          const double seconds = host_seconds_of([&] { engine.classify(x); });
          print({{"what", "network"},
                 {"net", name},
                 {"bits", 4},
                 {"exact", exact},
                 {"images", images},
                 {"images_per_second", static_cast<double>(images) / seconds}});
        }
      }
    }
  }

  void trainings() {
    for (const std::string& name :
         small() ? std::vector<std::string>{"toy10"} : std::vector<std::string>{"resnet20", "vgg16", "resnet18"}) {
      for (const int bits : {0, 4}) {
        nn::Network net = network(name, bits);
        nn::DeviceNetwork there(net, device_, nn::Sgd{.lr = 0.01});
        const int64_t batch = small() ? 2 : 512;
        const Tensor x = images_of(net, batch);
        std::vector<int> labels;
        for (int64_t i = 0; i < batch; ++i) labels.push_back(static_cast<int>(i * 7919 % net.classes()));
        const double seconds = host_seconds_of([&] { there.train(x, labels, 0, 0.01, 0); });
        const double step = seconds_of([&] { there.repeat(); });
        print({{"what", "training"},
               {"net", name},
               {"bits", bits},
               {"batch", batch},
               {"images_per_second", static_cast<double>(batch) / seconds},
               {"step_milliseconds", step * 1e3}});
      }
    }
  }

  Device& device_;
  const Settings& settings_;
};

int run(int argc, char** argv) {
  CLI::App app{"The kernels of NVIDIA GPUs, timed on one", "bench_device"};
  Settings settings;
  app.add_option("--device", settings.device, "cuda or simulated");
  app.add_flag("--quick", settings.quick, "small shapes only");
  app.add_option("--seconds", settings.seconds, "of every measurement");
  CLI11_PARSE(app, argc, argv);
  std::string why;
  const std::unique_ptr<Device> device =
      settings.device == "simulated" ? open_simulated_device() : open_cuda_device(why);
  if (!device) {
    fmt::print(stderr, "bench_device: no GPU: {}\n", why);
    return 2;
  }
  return Bench(*device, settings).run() ? 0 : 1;
}

}  // namespace
}  // namespace kronbit

int main(int argc, char** argv) { return kronbit::run(argc, argv); }
