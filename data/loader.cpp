#include "data/loader.h"

#include <algorithm>

#include "data/image.h"
#include "tensor/base/error.h"
#include "tensor/parallel.h"

namespace kronbit::data {
namespace {

/// Image `n` of the activation `x` = the normalized pixels.
void write_image(const uint8_t* rgb, const PixelTable& table, int64_t n, Tensor& x) {
  const int64_t pixels = x.height() * x.width();
  for (int64_t p = 0; p < pixels; ++p) {
    float* to = x.row<float>(p * x.images() + n);
    for (size_t c = 0; c < 3; ++c) to[c] = table[c][rgb[p * 3 + static_cast<int64_t>(c)]];
  }
}

}  // namespace

Tensor to_tensor(const Image& image, const Normalization& normalization) {
  Tensor x = Tensor::activation(image.height, image.width, 1, 3);
  write_image(image.rgb.data(), pixel_table(normalization), 0, x);
  return x;
}

Loader::Loader(Dataset dataset, const Normalization& normalization, const LoaderOptions& options)
    : dataset_(std::move(dataset)), normalization_(normalization), options_(options) {
  if (options_.batch_size < 1) input_error("loader", "batch size: wanted at least 1, got {}", options_.batch_size);
  if (dataset_.size() == 0) input_error("loader", "wanted at least one image, got none");
}

int64_t Loader::batches() const {
  const int64_t whole = dataset_.size() / options_.batch_size;
  if (options_.training && whole > 0) return whole;
  return chunk_count(dataset_.size(), options_.batch_size);
}

Batch Loader::batch(int64_t epoch, int64_t index) {
  KB_CHECK(epoch >= 0 && index >= 0 && index < batches());
  const bool ready = next_.valid() && next_epoch_ == epoch && next_index_ == index;
  if (next_.valid() && !ready) next_.wait();  // it uses order_
  Batch result = ready ? next_.get() : make(epoch, index);
  const bool last = index + 1 == batches();
  if (last && !options_.training) return result;  // an evaluation passes once
  next_epoch_ = last ? epoch + 1 : epoch;
  next_index_ = last ? 0 : index + 1;
  next_ = std::async(std::launch::async, [this, e = next_epoch_, i = next_index_] { return make(e, i); });
  return result;
}

void Loader::order_for(int64_t epoch) {
  if (!options_.training || ordered_epoch_ == epoch) return;
  order_ = Rng(options_.seed, Purpose::Shuffle, {static_cast<uint64_t>(epoch)}).permutation(dataset_.size());
  ordered_epoch_ = epoch;
}

Rng Loader::augmentation(int64_t epoch, int64_t image) const {
  return Rng(options_.seed, Purpose::Augment, {static_cast<uint64_t>(epoch), static_cast<uint64_t>(image)});
}

Picks Loader::picks(int64_t epoch, int64_t index) {
  KB_CHECK(options_.training && epoch >= 0 && index >= 0 && index < batches());
  if (next_.valid()) next_.wait();  // it uses order_
  order_for(epoch);
  Picks picks;
  for (int64_t n = index * options_.batch_size; n < index * options_.batch_size + count_of(index); ++n) {
    const int64_t position = order_[static_cast<size_t>(n)];
    picks.images.push_back(dataset_.chosen()[static_cast<size_t>(position)]);
    Rng rng = augmentation(epoch, picks.images.back());
    picks.shifts.push_back(MemorySource::draw_shift(rng));
    picks.labels.push_back(dataset_.label(position));
  }
  return picks;
}

Batch Loader::make(int64_t epoch, int64_t index) {
  order_for(epoch);
  const ImageSource& source = dataset_.source();
  const int64_t begin = index * options_.batch_size, count = count_of(index);
  const PixelTable table = pixel_table(normalization_);
  Batch batch{Tensor::activation_uninitialized(source.height, source.width, count, 3),
              std::vector<int>(static_cast<size_t>(count))};
  // Images in memory are copied faster by one thread than a second one is woken up and taken from the network's work.
  const int64_t grain = source.decodes() ? 1 : 256;
  parallel_for(count, grain, [&](int64_t first, int64_t end) {
    std::vector<uint8_t> rgb(static_cast<size_t>(source.height * source.width * 3));
    for (int64_t n = first; n < end; ++n) {
      const int64_t position = options_.training ? order_[static_cast<size_t>(begin + n)] : begin + n;
      const int64_t image = dataset_.chosen()[static_cast<size_t>(position)];
      if (options_.training) {
        Rng rng = augmentation(epoch, image);
        source.read_augmented(image, rng, rgb.data());
      } else {
        source.read(image, rgb.data());
      }
      write_image(rgb.data(), table, n, batch.images);
      batch.labels[static_cast<size_t>(n)] = dataset_.label(position);
    }
  });
  return batch;
}

}  // namespace kronbit::data
