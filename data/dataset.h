// Labelled images, and the three splits every run needs. Read data/open.h to get them, data/loader.h to get batches of
// them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tensor/base/error.h"
#include "tensor/rng.h"

namespace kronbit::data {

/// The file of an image is damaged: what() says how.
class DamagedImage : public InputError {
 public:
  DamagedImage(const std::string& what, std::string name, uint64_t bytes)
      : InputError(what), name_(std::move(name)), bytes_(bytes) {}
  const std::string& name() const { return name_; }  ///< ImageSource::name()
  uint64_t bytes() const { return bytes_; }          ///< size of its file when the data set was opened

 private:
  std::string name_;
  uint64_t bytes_;
};

/// Where images come from: decoded in memory (CIFAR, ImageNet32, synthetic) or read from files when asked for
/// (folders). Reading is thread-safe.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  /// The image as evaluation sees it: rgb[(y * width + x) * 3 + channel], height * width * 3 bytes.
  virtual void read(int64_t index, uint8_t* rgb) const = 0;
  /// The image as training sees it, changed at random; everything random is drawn from `rng`.
  virtual void read_augmented(int64_t index, Rng& rng, uint8_t* rgb) const = 0;
  /// Whether read() decodes a file: work worth many threads.
  virtual bool decodes() const { return false; }
  /// Of the file of an image, below the folder of the data set: "train/cat/7.png". Images in memory have none.
  virtual std::string name([[maybe_unused]] int64_t index) const { return ""; }
  /// Throws: InputError where the file of an image cannot be read or is damaged (DamagedImage), as far as can be told
  /// without decoding it.
  virtual void check([[maybe_unused]] int64_t index) const {}
  /// Of the images (folders: of names and file sizes) and the labels, in order.
  virtual uint32_t checksum() const = 0;

  int64_t size() const { return static_cast<int64_t>(labels.size()); }

  int64_t height = 0, width = 0;
  std::vector<std::string> class_names;
  std::vector<int32_t> labels;  ///< 0 <= label < class_names.size()
};

/// How the augmentation of images in memory changes one: pixel (y, x) becomes that of
/// (y + dy, (flip ? width - 1 - x : x) + dx), black outside.
struct Shift {
  int dy = 0, dx = 0;
  bool flip = false;
};

/// All images of a source, in memory. Augmentation: 4 black pixels around it, a random crop of the same size, a random
/// flip.
class MemorySource final : public ImageSource {
 public:
  static Shift draw_shift(Rng& rng);
  void read(int64_t index, uint8_t* rgb) const override;
  void read_augmented(int64_t index, Rng& rng, uint8_t* rgb) const override;
  uint32_t checksum() const override;

  int64_t image_bytes() const { return height * width * 3; }
  uint8_t* image(int64_t index) { return pixels.data() + index * image_bytes(); }

  std::vector<uint8_t> pixels;  ///< image after image
};

/// An image that its source does not want to read.
struct Damage {
  std::string name;  ///< ImageSource::name()
  std::string what;  ///< one line: where and why
};

/// Chosen images of a source, in a chosen order. Copies share the source.
class Dataset {
 public:
  Dataset() = default;
  /// All of `source`.
  explicit Dataset(std::shared_ptr<const ImageSource> source);
  /// Images `chosen` of `source`.
  Dataset(std::shared_ptr<const ImageSource> source, std::vector<int64_t> chosen);

  int64_t size() const { return static_cast<int64_t>(chosen_.size()); }
  int classes() const { return static_cast<int>(source_->class_names.size()); }
  const std::vector<std::string>& class_names() const { return source_->class_names; }
  int64_t height() const { return source_->height; }
  int64_t width() const { return source_->width; }
  int label(int64_t index) const { return source_->labels[static_cast<size_t>(chosen_[static_cast<size_t>(index)])]; }
  const ImageSource& source() const { return *source_; }
  /// The images of the set that ImageSource::check() refuses, in order. Throws: Stopped when `stop` becomes true.
  std::vector<Damage> damaged(const std::atomic<bool>* stop = nullptr) const;
  /// Positions in the source, one per image.
  const std::vector<int64_t>& chosen() const { return chosen_; }
  /// The images at `positions` of this set.
  Dataset subset(const std::vector<int64_t>& positions) const;
  /// The first min(count, size()) images.
  Dataset first(int64_t count) const;
  /// `count` images spread evenly over the set, the same for the same set: image i is drawn from numbers
  /// floor(i size / count) to floor((i + 1) size / count) - 1, all where it has no more. They are of all classes alike
  /// both of sets sorted by class and of those where classes take turns.
  Dataset spread(int64_t count) const;

 private:
  std::shared_ptr<const ImageSource> source_;
  std::vector<int64_t> chosen_;
};

}  // namespace kronbit::data
