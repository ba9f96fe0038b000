// A packed network that runs: a static plan of steps over buffers placed once, the fastest kernel for every layer, no
// allocation per image. One image at a time over all threads (latency), or groups of images, one thread each
// (throughput). Start reading at plan.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "quant/packed.h"

namespace kronbit::quant {

class Plan;

struct EngineOptions {
  int threads = 0;          ///< 0: threads() of tensor/parallel.h
  bool exact = false;       ///< integer products only: the same bits on every machine
  std::string kernel = {};  ///< forced for all block products; "" = what is fastest here
  /// Where choices are kept between runs ("" = nowhere): a JSON file, made and replaced as needed; failing to write it
  /// is no error.
  std::filesystem::path choices = {};
};

/// What runs one convolution, and what came second.
struct LayerChoice {
  std::string layer;
  int bits = 8;
  std::string kernel;       ///< "int8-avx512vnni"; "dense" for FP32 inputs
  double microseconds = 0;  ///< per image, one thread; 0 = not timed
  std::string runner_up;    ///< "" = there was none
  double runner_up_microseconds = 0;
};

/// A plan of an engine.
struct PlanReport {
  int64_t images = 0;                ///< that it runs at once
  bool exact = true;                 ///< as Engine::exact()
  std::vector<LayerChoice> choices;  ///< one per convolution, in the order of the bit list
};

/// Requires: one caller at a time.
class Engine {
 public:
  /// Throws: InputError for a damaged file, an unknown kernel, a forced kernel that no layer runs, exact products
  ///         wanted of quantized activations in blocks other than 32, a network the engine cannot run (an operator
  ///         without a step).
  explicit Engine(const PackedNetwork& network, EngineOptions options = {});
  static Engine load(const std::filesystem::path& path, EngineOptions options = {});
  ~Engine();
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;

  int64_t classes() const;
  int64_t image_size() const;  ///< height and width
  int threads() const;

  /// Images that run together in throughput mode.
  static constexpr int64_t kGroup = 8;

  /// Classifies images; any number of them.
  /// Shapes:   rgb [images][size][size][3] uint8, rows from the top; logits [images][classes]
  /// Throws:   InputError when a size does not fit, or the network does not say its normalization.
  void run(std::span<const uint8_t> rgb, int64_t images, std::span<float> logits);
  /// Shapes:   x [H][W][N][3] f32, normalized; logits [N][classes]
  void run(const Tensor& x, std::span<float> logits);

  /// The same as a tensor [1][1][N][classes], for nn::evaluate().
  Tensor classify(const Tensor& x);

  /// One line per convolution: of the plan for single images, and of that for groups.
  const std::vector<LayerChoice>& latency_choices() const;
  const std::vector<LayerChoice>& throughput_choices() const;
  std::vector<PlanReport> plans_that_ran() const;  ///< so far, fewest images first
  int64_t weight_bytes() const;                    ///< of all layers, as their kernels want them
  /// Activations and scratch memory at most: of a single image from the start, of a group on each thread once as many
  /// have run.
  int64_t buffer_bytes() const;
  /// Every product of quantized activations is an integer one.
  bool exact() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kronbit::quant
