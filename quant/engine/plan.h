// The static plan of a packed network for N images at once: values (activations, as numbers and as packed rows), the
// steps that make them, and one arena in which every buffer has its place for as long as it is needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nn/network.h"
#include "quant/engine/choice.h"
#include "quant/kernels/block_product.h"
#include "quant/kernels/rows.h"

namespace kronbit::quant {

/// A buffer of the arena.
struct Place {
  int64_t bytes = 0, offset = 0;
  int first = 0, last = 0;  ///< the steps between which it holds something
};

/// Sets the offsets such that no two places that hold something at the same step overlap: large ones first, each as low
/// as it fits. Offsets are multiples of 64 if all sizes are. Returns: bytes of the whole.
int64_t arrange(std::vector<Place>& places);

/// A packed copy of a value for the convolutions that read it so. One row more than the value has: zeros, for taps
/// outside the image.
struct PackedCopy {
  RowForm form = RowForm::Bytes;
  ActivationFormat format;
  int mantissas = -1, steps = -1, sums = -1;  ///< places
};

/// What flows between steps. Row (h * width + w) * images + n is pixel (h, w) of image n.
struct Value {
  int64_t height = 0, width = 0, channels = 0, pitch = 0;  ///< pitch: numbers from row to row
  int64_t pixels() const { return height * width; }
  int64_t blocks() const { return (channels + 31) / 32; }
  int numbers = -1;  ///< place; -1 when nobody reads FP32 numbers
  std::vector<PackedCopy> copies;
};

/// Memory of one execution.
struct Arena {
  std::byte* memory = nullptr;   ///< the places
  std::byte* scratch = nullptr;  ///< of the calling thread
};

class Plan;

/// A step writes one value. Its items are independent of each other and of any order; a barrier separates steps.
class PlanStep {
 public:
  explicit PlanStep(int out) : out_(out) {}
  virtual ~PlanStep() = default;
  int output() const { return out_; }  ///< the value it writes
  virtual int64_t items_of(const Plan&) const { return 1; }
  virtual int64_t scratch_bytes_of(const Plan&) const { return 0; }
  virtual void run(const Plan& plan, const Arena& arena, int64_t item) const = 0;

 private:
  int out_;
};

/// Throws: InputError naming an operator without a step.
class Plan {
 public:
  /// net: PackedNetwork::network(); workers: threads that will share a step. Choices are made by `chooser`.
  Plan(const nn::Network& net, int64_t images, int workers, Chooser& chooser);

  int64_t images() const { return images_; }
  int workers() const { return workers_; }
  const std::vector<Value>& values() const { return values_; }
  const Value& value(int v) const { return values_[static_cast<size_t>(v)]; }
  const std::vector<std::unique_ptr<PlanStep>>& steps() const { return steps_; }
  /// One per convolution, in the order of the bit list (steps may have another: a shortcut comes before its sum).
  const std::vector<LayerChoice>& choices() const { return choices_; }
  /// The step that runs convolution `i` of the bit list.
  size_t convolution_step(size_t i) const { return convolution_steps_[i]; }
  int64_t rows(int v) const { return value(v).pixels() * images_; }
  int64_t arena_bytes() const { return arena_bytes_; }
  int64_t scratch_bytes() const { return scratch_bytes_; }
  /// Runs one item of a step.
  void run(size_t step, const Arena& arena, int64_t item) const {
    if (item == 0) emit_zero_rows(arena, steps_[step]->output());
    steps_[step]->run(*this, arena, item);
  }
  bool exact() const { return exact_; }

  std::byte* at(const Arena& arena, int place) const {
    return arena.memory + places_[static_cast<size_t>(place)].offset;
  }
  float* numbers(const Arena& arena, int v) const { return reinterpret_cast<float*>(at(arena, value(v).numbers)); }
  RowsOut rows_out(const Arena& arena, int v, const PackedCopy& copy) const;
  /// The image: rows of 4 numbers.
  int input() const { return 0; }
  int output() const { return output_; }

  /// Hands rows of a value to all who need them: copies numbers, packs blocks.
  /// y[r * pitch + i]: channel 32 * first_block + i of row first_row + r.
  void emit(const Arena& arena, int v, int64_t first_row, int64_t rows, const float* y, int64_t pitch,
            int64_t first_block, int64_t blocks) const;
  /// The zero rows of a value's packed copies; called by the first item of the step that writes it.
  void emit_zero_rows(const Arena& arena, int v) const;

 private:
  friend class Planner;
  int64_t images_;
  int workers_;
  std::vector<Value> values_;
  std::vector<Place> places_;
  std::vector<std::unique_ptr<PlanStep>> steps_;
  std::vector<LayerChoice> choices_;
  std::vector<size_t> convolution_steps_;
  int output_ = 0;
  int64_t arena_bytes_ = 0, scratch_bytes_ = 0;
  bool exact_ = true;
};

}  // namespace kronbit::quant
