#include "data/dataset.h"

#include <zlib.h>

#include <algorithm>
#include <numeric>

#include "tensor/base/stopped.h"
#include "tensor/parallel.h"

namespace kronbit::data {

void MemorySource::read(int64_t index, uint8_t* rgb) const {
  std::copy_n(pixels.data() + index * image_bytes(), image_bytes(), rgb);
}

Shift MemorySource::draw_shift(Rng& rng) {
  constexpr int kPad = 4;
  const int dy = static_cast<int>(rng.below(2 * kPad + 1)) - kPad;
  const int dx = static_cast<int>(rng.below(2 * kPad + 1)) - kPad;
  return {dy, dx, rng.below(2) == 1};
}

void MemorySource::read_augmented(int64_t index, Rng& rng, uint8_t* rgb) const {
  const auto [dy, dx, flip] = draw_shift(rng);
  const uint8_t* image = pixels.data() + index * image_bytes();
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x, rgb += 3) {
      const int64_t from_y = y + dy, from_x = (flip ? width - 1 - x : x) + dx;
      if (from_y < 0 || from_y >= height || from_x < 0 || from_x >= width) {
        std::fill_n(rgb, 3, uint8_t{0});
      } else {
        std::copy_n(image + (from_y * width + from_x) * 3, 3, rgb);
      }
    }
  }
}

uint32_t MemorySource::checksum() const {
  constexpr int64_t kGrain = int64_t{1} << 22;
  const int64_t bytes = static_cast<int64_t>(pixels.size());
  std::vector<uLong> parts(static_cast<size_t>(chunk_count(bytes, kGrain)));
  parallel_for(bytes, kGrain, [&](int64_t begin, int64_t end) {
    parts[static_cast<size_t>(begin / kGrain)] = crc32_z(0, pixels.data() + begin, static_cast<size_t>(end - begin));
  });
  uLong sum = crc32_z(0, reinterpret_cast<const Bytef*>(labels.data()), labels.size() * sizeof labels[0]);
  for (size_t i = 0; i < parts.size(); ++i) {
    sum =
        crc32_combine(sum, parts[i], static_cast<z_off_t>(std::min(kGrain, bytes - static_cast<int64_t>(i) * kGrain)));
  }
  return static_cast<uint32_t>(sum);
}

Dataset::Dataset(std::shared_ptr<const ImageSource> source)
    : source_(std::move(source)), chosen_(static_cast<size_t>(source_->size())) {
  std::iota(chosen_.begin(), chosen_.end(), int64_t{0});
}

Dataset::Dataset(std::shared_ptr<const ImageSource> source, std::vector<int64_t> chosen)
    : source_(std::move(source)), chosen_(std::move(chosen)) {
  for (int64_t index : chosen_) KB_CHECK(index >= 0 && index < source_->size());
}

std::vector<Damage> Dataset::damaged(const std::atomic<bool>* stop) const {
  constexpr int64_t kGrain = 16;
  std::vector<std::vector<Damage>> parts(static_cast<size_t>(chunk_count(size(), kGrain)));
  parallel_for(size(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (stop && *stop) throw Stopped("[data] stopped");
      const int64_t index = chosen_[static_cast<size_t>(i)];
      try {
        source_->check(index);
      } catch (const InputError& e) {
        parts[static_cast<size_t>(begin / kGrain)].push_back({source_->name(index), e.what()});
      }
    }
  });
  std::vector<Damage> all;
  for (std::vector<Damage>& part : parts) std::ranges::move(part, std::back_inserter(all));
  return all;
}

Dataset Dataset::subset(const std::vector<int64_t>& positions) const {
  std::vector<int64_t> chosen;
  chosen.reserve(positions.size());
  for (int64_t position : positions) chosen.push_back(chosen_.at(static_cast<size_t>(position)));
  return Dataset(source_, std::move(chosen));
}

Dataset Dataset::first(int64_t count) const {
  const auto end = chosen_.begin() + std::clamp<int64_t>(count, 0, size());
  return Dataset(source_, std::vector<int64_t>(chosen_.begin(), end));
}

Dataset Dataset::spread(int64_t count) const {
  count = std::min(count, size());
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = i * size() / count, end = (i + 1) * size() / count;
    Rng rng(0, Purpose::Split, {static_cast<uint64_t>(i)});
    positions.push_back(begin + static_cast<int64_t>(rng.below(static_cast<uint64_t>(end - begin))));
  }
  return subset(positions);
}

}  // namespace kronbit::data
