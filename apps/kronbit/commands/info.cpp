// kronbit info: what this machine can do, which compute kernels run and why others do not; what a packed file holds,
// and what runs each of its layers here.
#include <fmt/ranges.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "apps/kronbit/made_by.h"
#include "apps/kronbit/options/common.h"
#include "nn/models/models.h"
#include "nn/summary.h"
#include "quant/kernels/block_product.h"
#include "quant/kernels/cuda/device_product.h"
#include "quant/packed.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/cpu.h"
#include "tensor/io/text.h"
#include "tensor/parallel.h"

namespace kronbit::app {
namespace {

constexpr std::pair<DType, const char*> kTypes[] = {{DType::F32, "f32"}, {DType::BF16, "bf16"}, {DType::F64, "f64"}};

/// A variant of brgemm, what it computes and whether it runs here.
Json describe(const BrgemmVariant& v) {
  const bool supported = v.supported();
  Json types = Json::array();
  std::string in_use;
  for (const auto& [type, name] : kTypes) {
    if (!v.serves(type)) continue;
    types.push_back(name);
    if (v.name != brgemm_variant(type).name) continue;
    in_use += (in_use.empty() ? "in use for " : ", ") + std::string(name);
  }
  return {{"family", "brgemm"},
          {"name", v.name},
          {"needs", v.needs},
          {"types", types},
          {"supported", supported},
          {"used", !in_use.empty()},
          {"note", !in_use.empty() ? in_use
                   : supported     ? "available: --kernel " + std::string(v.name)
                                   : "wants " + std::string(v.needs) + ", which is not here or switched off"}};
}

/// A block product of packed networks, and whether it runs here.
Json describe(const quant::BlockKernel& k) {
  const bool supported = k.supported();
  return {{"family", k.family},
          {"name", k.name},
          {"needs", k.needs},
          {"supported", supported},
          {"exact", k.exact},
          {"note", supported ? "available for packed networks: --kernel " + std::string(k.name)
                             : "wants " + std::string(k.needs) + ", which is not here or switched off"}};
}

/// The GPU, or why there is none.
Json describe_gpu() {
  std::string why;
  const std::unique_ptr<Device> device = open_cuda_device(why);
  if (!device) return {{"name", nullptr}, {"note", why}};
  const DeviceProperties p = device->properties();
  return {{"name", p.name},
          {"capability", p.capability},
          {"multiprocessors", p.multiprocessors},
          {"memory_bytes", p.memory_bytes},
          {"free_bytes", p.free_bytes},
          {"note", fmt::format("compute capability {}.{}, {} multiprocessors, {:.0f} GB free of {:.0f}",
                               p.capability / 10, p.capability % 10, p.multiprocessors,
                               static_cast<double>(p.free_bytes) / 1e9, static_cast<double>(p.memory_bytes) / 1e9)}};
}

/// The block products of GPUs; they are the same on the simulated one.
Json describe_gpu_kernels() {
  Json list = Json::array();
  const std::unique_ptr<Device> device = open_simulated_device();
  for (const quant::DeviceKernel* k : quant::device_kernels(*device).products)
    list.push_back(
        {{"family", k->family}, {"name", k->name}, {"needs", "compute capability 8.0"}, {"exact", k->exact}});
  return list;
}

int run_machine(const Frame& frame) {
  if (!frame.kernel.empty() && frame.kernel != "auto" && !forced_brgemm_variant())
    input_error("--kernel", "{}: wanted a packed network to run it on (kronbit info MODEL), got none", frame.kernel);
  Json kernels = Json::array(), block_kernels = Json::array();
  for (const quant::BlockKernel* k : quant::block_kernels()) block_kernels.push_back(describe(*k));
  for (const BrgemmVariant& v : brgemm_variants()) kernels.push_back(describe(v));
  const std::string expected = openblas_core_expected();
  const Json gpu = describe_gpu(), gpu_kernels = describe_gpu_kernels();
  const Json info = {{"version", KRONBIT_VERSION},
                     {"commit", program_commit()},
                     {"compiler", __VERSION__},
                     {"cpu", cpu().model},
                     {"features", cpu_feature_list()},
                     {"isa_level", name_of(isa_level())},
                     {"native_bf16", native_bf16()},
                     {"cpus_online", sysconf(_SC_NPROCESSORS_ONLN)},
                     {"threads", threads()},
                     {"memory_bytes", static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE)},
                     {"openblas_core", openblas_core()},
                     {"gpu", gpu},
                     {"gpu_kernels", gpu_kernels},
                     {"networks", nn::model_names()},
                     {"kernels", kernels},
                     {"block_kernels", block_kernels}};
  if (frame.json) {
    print_json(info);
    return 0;
  }
  fmt::print("kronbit {} ({}, {})\n", KRONBIT_VERSION, program_commit(), __VERSION__);
  fmt::print("cpu       {}\n          {}\n", cpu().model, cpu_feature_list());
  fmt::print("level     {}; bf16 products are {} than f32\n", name_of(isa_level()),
             native_bf16() ? "faster" : "no faster");
  fmt::print("threads   {} of {} processors\n", threads(), sysconf(_SC_NPROCESSORS_ONLN));
  fmt::print("openblas  {}{}\n", openblas_core(),
             expected.empty() ? "" : fmt::format(" (slow here: start with OPENBLAS_CORETYPE={})", expected));
  fmt::print("gpu       {}\n", gpu["name"].is_null() ? "none: " + gpu["note"].get<std::string>()
                                                     : fmt::format("{}: {}", gpu["name"].get<std::string>(),
                                                                   gpu["note"].get<std::string>()));
  for (const Json& k : kernels) {
    fmt::print("kernel    {} {:<10} {:<13} {}\n", k["family"].get<std::string>(), k["name"].get<std::string>(),
               fmt::format("{}", fmt::join(k["types"].get<std::vector<std::string>>(), " ")),
               k["note"].get<std::string>());
  }
  for (const Json& k : block_kernels) {
    fmt::print("kernel    {:<10} {:<21} {:<7} {}\n", k["family"].get<std::string>(), k["name"].get<std::string>(),
               k["exact"].get<bool>() ? "exact" : "rounds", k["note"].get<std::string>());
  }
  for (const Json& k : gpu_kernels) {
    fmt::print("kernel    {:<10} {:<21} {:<7} for GPUs of {} on (--device cuda)\n", k["family"].get<std::string>(),
               k["name"].get<std::string>(), k["exact"].get<bool>() ? "exact" : "rounds",
               k["needs"].get<std::string>());
  }
  fmt::print("networks  {}\n", fmt::join(nn::model_names(), " "));
  return 0;
}

struct Options {
  std::string model;
  bool exact = false;
};

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

Json json_of(const std::vector<quant::LayerChoice>& choices) {
  Json list = Json::array();
  const auto time = [](double microseconds) { return microseconds > 0 ? Json(microseconds) : Json(nullptr); };
  for (const quant::LayerChoice& c : choices) {
    list.push_back({{"layer", c.layer},
                    {"bits", c.bits},
                    {"kernel", c.kernel},
                    {"microseconds", time(c.microseconds)},
                    {"runner_up", c.runner_up.empty() ? Json(nullptr) : Json(c.runner_up)},
                    {"runner_up_microseconds", time(c.runner_up_microseconds)}});
  }
  return list;
}

void print_choices(const std::string& title, const std::vector<quant::LayerChoice>& choices) {
  size_t width = 5;
  for (const quant::LayerChoice& c : choices) width = std::max(width, c.layer.size());
  const auto time = [](double microseconds) { return microseconds > 0 ? fmt::format("{:.2f}", microseconds) : "-"; };
  fmt::print("\n{}\n{:<{}} {:>4}  {:<20} {:>9}  {:<20} {:>9}\n", title, "layer", width, "bits", "kernel", "us",
             "runner-up", "us");
  for (const quant::LayerChoice& c : choices) {
    fmt::print("{:<{}} {:>4}  {:<20} {:>9}  {:<20} {:>9}\n", c.layer, width, c.bits, c.kernel, time(c.microseconds),
               c.runner_up.empty() ? "-" : c.runner_up, time(c.runner_up_microseconds));
  }
}

int run_model(const Frame& frame, const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  const quant::PackedNetwork packed = quant::PackedNetwork::load(options.model);
  const double load_ms = milliseconds_since(start);
  const auto loaded = std::chrono::steady_clock::now();
  const quant::Engine engine(packed, engine_options(frame, options.model, options.exact));
  const double prepare_ms = milliseconds_since(loaded);
  const auto file_bytes = static_cast<int64_t>(std::filesystem::file_size(options.model));
  const quant::AssignOptions& quantizer = packed.assignment().options;
  if (frame.json) {
    print_json({{"model", options.model},
                {"net", packed.network_name()},
                {"classes", packed.classes()},
                {"class_names", packed.class_names()},
                {"input_size", packed.input_size()},
                {"normalization", packed.normalization().empty() ? Json(nullptr) : Json(packed.normalization())},
                {"bits", packed.bits()},
                {"mode", quant::name_of(quantizer.mode)},
                {"block", quantizer.block},
                {"activations", quantizer.activations ? "quantized" : "fp32"},
                {"conv_bytes", packed.conv_bytes()},
                {"file_bytes", file_bytes},
                {"load_milliseconds", load_ms},
                {"prepare_milliseconds", prepare_ms},
                {"threads", engine.threads()},
                {"exact", engine.exact()},
                {"weight_bytes", engine.weight_bytes()},
                {"buffer_bytes", engine.buffer_bytes()},
                {"single", json_of(engine.latency_choices())},
                {"group", json_of(engine.throughput_choices())}});
    return 0;
  }
  fmt::print("{}  {}, {} classes, images of {} x {}\n", printable(options.model), packed.network_name(),
             packed.classes(), packed.input_size(), packed.input_size());
  fmt::print("normalize {}\n", packed.normalization().empty() ? "not known" : packed.normalization());
  fmt::print("bits      {}  ({}, blocks of {}{})\n", format_bits(packed.bits()), quant::name_of(quantizer.mode),
             quantizer.block, quantizer.activations ? "" : ", activations in fp32");
  fmt::print("size      {} bytes of convolutions, {} bytes in all\n", packed.conv_bytes(), file_bytes);
  fmt::print("loaded    in {:.1f} ms, made ready in {:.1f} ms\n", load_ms, prepare_ms);
  fmt::print("memory    {} bytes of weights, at most {} bytes of buffers for {} threads\n", engine.weight_bytes(),
             engine.buffer_bytes(), engine.threads());
  fmt::print("products  {}\n", engine.exact()              ? "exact: the same bits on every machine"
                               : quantizer.block == kBlock ? "some round (see --exact)"
                                                           : "of FP32 numbers: blocks are not of 32 channels");
  print_choices("single images: the product alone, on one thread", engine.latency_choices());
  print_choices(fmt::format("groups of {} images: the product per image, on one thread", quant::Engine::kGroup),
                engine.throughput_choices());
  return 0;
}

int run_network(const Frame& frame, const std::string& name) {
  const nn::Network net = nn::build(name);
  if (!frame.json) {
    fmt::print("{}", nn::summary(net));
    return 0;
  }
  Json layers = Json::array();
  for (const nn::ConvInfo& layer : nn::conv_layers(net))
    layers.push_back({{"name", layer.name}, {"weights", layer.weights()}, {"macs", layer.macs()}});
  print_json({{"net", name}, {"input_size", net.input_shape()[0]}, {"classes", net.classes()}, {"layers", layers}});
  return 0;
}

int run(const Frame& frame, const Options& options) {
  const std::vector<std::string> names = nn::model_names();
  const bool is_network = std::find(names.begin(), names.end(), options.model) != names.end();
  if (!options.model.empty() && !is_network) return run_model(frame, options);
  if (options.exact) input_error("--exact", "wanted a packed network (kronbit info MODEL), got none");
  return is_network ? run_network(frame, options.model) : run_machine(frame);
}

}  // namespace

void add_info(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, frame, "info", "what this machine can do, what a network consists of, or what a packed file holds",
      "Examples:\n  kronbit info\n  kronbit info resnet20\n"
      "  kronbit info RUN/best/model.safetensors --threads 1 --exact\n"
      "With a packed network: its bits and bytes, and the kernel that runs each layer here.",
      [&frame, options] { return run(frame, *options); }, KernelChoice::Packed);
  command->add_option("model", options->model, "packed network, or the name of a network");
  command->add_flag("--exact", options->exact, "integer products only: the same bits on every machine");
}

}  // namespace kronbit::app
