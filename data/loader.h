// Batches for the network. Any batch is a pure function of (seed, epoch, index): a resumed run sees the same images,
// and part of an epoch is simply its first batches. The next batch is made in the background while the network works.
#pragma once

#include <algorithm>
#include <cstdint>
#include <future>
#include <memory>
#include <vector>

#include "data/dataset.h"
#include "data/normalization.h"
#include "tensor/tensor.h"

namespace kronbit::data {

struct Batch {
  Tensor images;            ///< [H][W][N][3] f32, normalized
  std::vector<int> labels;  ///< N
};

/// What a batch of augmented images in memory is made of, for somebody who has these images himself.
struct Picks {
  std::vector<int64_t> images;  ///< positions in the source
  std::vector<Shift> shifts;
  std::vector<int> labels;
};

struct LoaderOptions {
  int64_t batch_size = 128;
  uint64_t seed = 1;
  /// Training: a new order every epoch, augmented images, and no short last batch unless it is the only one.
  /// Evaluation: the data set's order, images as they are, all of them.
  bool training = false;
};

class Loader {
 public:
  /// Requires: batch_size >= 1 and a data set that is not empty. Throws: InputError otherwise.
  Loader(Dataset dataset, const Normalization& normalization, const LoaderOptions& options);
  Loader(const Loader&) = delete;  // the background work points here
  Loader& operator=(const Loader&) = delete;

  /// Batches of one epoch, >= 1.
  int64_t batches() const;
  /// Batch `index` of `epoch`; afterwards the one that follows is made in the background (none after the last batch of
  /// an evaluation). Asking in order is fast, any order gives the same batches. Not to be called from two threads at
  /// once. Requires: 0 <= index < batches(), epoch >= 0.
  Batch batch(int64_t epoch, int64_t index);
  /// The same batch as choices. Requires: training, and images of a MemorySource.
  Picks picks(int64_t epoch, int64_t index);
  const Dataset& dataset() const { return dataset_; }

 private:
  void order_for(int64_t epoch);
  int64_t count_of(int64_t index) const {
    return std::min(options_.batch_size, dataset_.size() - index * options_.batch_size);
  }
  Rng augmentation(int64_t epoch, int64_t image) const;
  Batch make(int64_t epoch, int64_t index);

  Dataset dataset_;
  Normalization normalization_;
  LoaderOptions options_;
  std::vector<int64_t> order_;  // of epoch ordered_epoch_
  int64_t ordered_epoch_ = -1;
  int64_t next_epoch_ = -1, next_index_ = -1;  // what next_ holds
  std::future<Batch> next_;                    // last member: its destructor waits for the work that uses the others
};

}  // namespace kronbit::data
