#include "quant/engine/engine.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>

#include "data/normalization.h"
#include "quant/engine/run_plan.h"
#include "tensor/cpu.h"
#include "tensor/memory.h"
#include "tensor/parallel.h"

namespace kronbit::quant {
namespace {

/// What times of kernels belong to: this program and processor, and everything of a packed network that decides what
/// its layers compute.
std::string key_of(const PackedNetwork& network) {
  const AssignOptions& quantizer = network.assignment().options;
  return fmt::format("kronbit {}, {}, {}; {} {}, {} classes, {}; {}, blocks of {}, activations {}", KRONBIT_VERSION,
                     cpu().model, name_of(isa_level()), network.network_name(), network.input_size(), network.classes(),
                     format_bits(network.bits()), name_of(quantizer.mode), quantizer.block,
                     quantizer.activations ? "quantized" : "fp32");
}

}  // namespace

struct Engine::State {
  EngineOptions options;
  int workers;
  int64_t size, classes;
  bool normalized = false;  // the file says its normalization
  data::PixelTable pixels = {};
  Chooser chooser;
  std::unique_ptr<Plan> single, group;
  bool single_ran = false, group_ran = false;
  std::vector<std::shared_ptr<void>> memory;
  std::vector<Arena> sharers;  // of a single image, one per worker: memory of the first, scratch of each
  std::vector<Arena> groups;   // of a group each, one per worker; none before groups run

  State(const PackedNetwork& network, EngineOptions given)
      : options(std::move(given)),
        workers(options.threads > 0 ? options.threads : kronbit::threads()),
        size(network.input_size()),
        classes(network.classes()),
        chooser(options, key_of(network)) {
    if (!network.normalization().empty()) {
      pixels = data::pixel_table(data::parse_normalization(network.normalization()));
      normalized = true;
    }
    const nn::Network net = network.network(PackedKernel::Reference);
    single = std::make_unique<Plan>(net, 1, workers, chooser);
    group = std::make_unique<Plan>(net, kGroup, 1, chooser);
    if (options.exact && !(single->exact() && group->exact()))
      input_error("exact", "wanted blocks of {} channels, got {}", kBlock, network.assignment().options.block);
    if (!chooser.forced_was_used())
      input_error("kernel", "{}: wanted a network with layers for block products, got {} without", options.kernel,
                  network.network_name());
    chooser.keep();
    std::byte* shared = take(single->arena_bytes());
    for (int w = 0; w < workers; ++w) sharers.push_back({shared, take(single->scratch_bytes())});
  }

  /// Memory that is touched first by the thread that works in it.
  std::byte* take(int64_t bytes) {
    memory.push_back(allocate_zeroed(static_cast<size_t>(bytes)));
    return static_cast<std::byte*>(memory.back().get());
  }
  /// Memory for so many groups at the same time, at least.
  void take_groups(int64_t count) {
    while (std::ssize(groups) < count) groups.push_back({take(group->arena_bytes()), take(group->scratch_bytes())});
  }

  /// Fills the image values of a plan with images first .. first + count - 1, zeros after the last, then runs it.
  template <class Fill>
  void run_group(const Arena& arena, const Fill& fill, int64_t first, int64_t count, float* logits) const {
    const Plan& plan = *group;
    float* x = plan.numbers(arena, plan.input());
    if (count < plan.images()) std::fill_n(x, plan.rows(plan.input()) * plan.value(plan.input()).pitch, 0.0f);
    for (int64_t n = 0; n < count; ++n) fill(first + n, x + n * 4, 4 * plan.images());
    run_alone(plan, arena, [](size_t) {});
    copy_logits(plan, arena, count, logits + first * classes);
  }

  /// One image, its steps shared by all threads.
  template <class Fill>
  void run_single(const Fill& fill, int64_t n, float* logits) const {
    const Plan& plan = *single;
    fill(n, plan.numbers(sharers[0], plan.input()), 4);
    run_shared(plan, sharers, [](size_t, size_t) {});
    copy_logits(plan, sharers[0], 1, logits + n * classes);
  }

  void copy_logits(const Plan& plan, const Arena& arena, int64_t count, float* to) const {
    const float* from = plan.numbers(arena, plan.output());
    const int64_t pitch = plan.value(plan.output()).pitch;
    for (int64_t n = 0; n < count; ++n) std::copy_n(from + n * pitch, classes, to + n * classes);
  }

  /// How many groups run at the same time on all threads before the rest runs image by image: a rest that leaves
  /// threads without work is better shared by them.
  int64_t groups_for(int64_t images) const {
    const int64_t whole = images / (kGroup * workers) * workers, rest = images - whole * kGroup;
    // What a shared step loses to barriers and small pieces; more threads than this cannot share one image well.
    constexpr double kSharingLoss = 1.3, kMostSharers = 8;
    const double one_by_one =
        static_cast<double>(rest) * microseconds(*single) * kSharingLoss / std::min<double>(workers, kMostSharers);
    const double one_more_round = kGroup * microseconds(*group);
    return one_by_one <= one_more_round ? whole : (images + kGroup - 1) / kGroup;
  }
  static double microseconds(const Plan& plan) {
    double sum = 0;
    for (const LayerChoice& choice : plan.choices()) sum += choice.microseconds;
    return sum;
  }

  /// fill(image, where, step): the image's pixels to where[p * step .. + 3].
  template <class Fill>
  void run(int64_t images, const Fill& fill, float* logits) {
    const int64_t many = groups_for(images);
    group_ran |= many > 0;
    single_ran |= many * kGroup < images;
    take_groups(many > 1 ? workers : many);
#pragma omp parallel for num_threads(workers) schedule(dynamic, 1) if (many > 1)
    for (int64_t g = 0; g < many; ++g) {
      run_group(groups[static_cast<size_t>(omp_get_thread_num())], fill, g * kGroup,
                std::min(kGroup, images - g * kGroup), logits);
    }
    for (int64_t n = many * kGroup; n < images; ++n) run_single(fill, n, logits);
  }
};

Engine::Engine(const PackedNetwork& network, EngineOptions options)
    : state_(std::make_unique<State>(network, std::move(options))) {}
Engine Engine::load(const std::filesystem::path& path, EngineOptions options) {
  return Engine(PackedNetwork::load(path), std::move(options));
}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

int64_t Engine::classes() const { return state_->classes; }
int64_t Engine::image_size() const { return state_->size; }
int Engine::threads() const { return state_->workers; }
const std::vector<LayerChoice>& Engine::latency_choices() const { return state_->single->choices(); }
const std::vector<LayerChoice>& Engine::throughput_choices() const { return state_->group->choices(); }
std::vector<PlanReport> Engine::plans_that_ran() const {
  std::vector<PlanReport> ran;
  const State& s = *state_;
  for (const auto& [plan, did] : {std::pair{s.single.get(), s.single_ran}, std::pair{s.group.get(), s.group_ran}})
    if (did) ran.push_back({plan->images(), plan->exact(), plan->choices()});
  return ran;
}
int64_t Engine::weight_bytes() const { return state_->chooser.weight_bytes(); }
int64_t Engine::buffer_bytes() const {
  const Plan &a = *state_->single, &b = *state_->group;
  return a.arena_bytes() + state_->workers * (a.scratch_bytes() + b.arena_bytes() + b.scratch_bytes());
}
bool Engine::exact() const { return state_->single->exact() && state_->group->exact(); }

void Engine::run(std::span<const uint8_t> rgb, int64_t images, std::span<float> logits) {
  const int64_t pixels = state_->size * state_->size;
  if (!state_->normalized)
    input_error("engine", "wanted a packed network that says its normalization, got one without");
  if (images < 0 || std::ssize(rgb) != images * pixels * 3)
    input_error("engine", "rgb: wanted {} images of {} bytes, got {} bytes", images, pixels * 3, rgb.size());
  if (std::ssize(logits) != images * classes())
    input_error("engine", "logits: wanted room for {} numbers, got {}", images * classes(), logits.size());
  state_->run(
      images,
      [&](int64_t n, float* to, int64_t step) {
        const uint8_t* from = rgb.data() + n * pixels * 3;
        for (int64_t p = 0; p < pixels; ++p)
          for (int64_t c = 0; c < 3; ++c) to[p * step + c] = state_->pixels[static_cast<size_t>(c)][from[p * 3 + c]];
      },
      logits.data());
}

void Engine::run(const Tensor& x, std::span<float> logits) {
  const int64_t size = state_->size;
  if (x.dtype() != DType::F32 || x.shape().rank() != 4 || x.height() != size || x.width() != size || x.channels() != 3)
    input_error("engine", "x: wanted [{}, {}, N, 3] f32, got {}", size, size, x.shape().text());
  if (std::ssize(logits) != x.images() * classes())
    input_error("engine", "logits: wanted room for {} numbers, got {}", x.images() * classes(), logits.size());
  state_->run(
      x.images(),
      [&](int64_t n, float* to, int64_t step) {
        for (int64_t p = 0; p < size * size; ++p) std::copy_n(x.row<float>(p * x.images() + n), 3, to + p * step);
      },
      logits.data());
}

Tensor Engine::classify(const Tensor& x) {
  std::vector<float> logits(static_cast<size_t>(x.images() * classes()));
  run(x, logits);
  Tensor y = Tensor::activation(1, 1, x.images(), classes());
  for (int64_t n = 0; n < x.images(); ++n) std::copy_n(logits.data() + n * classes(), classes(), y.row<float>(n));
  return y;
}

}  // namespace kronbit::quant
