// From what the user writes after --data to training, validation and test images.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/normalization.h"

namespace kronbit::data {

struct OpenOptions {
  /// "train:N": N images are held out of the training split, drawn by `seed`; the test split is read once, at the end.
  /// "test:N": N images of the test split, drawn by `seed`, are searched on and the others are reported on; for weights
  /// that have already seen the whole training split. "": 5000 of the training split, at most a fifth of it.
  std::string validation = {};
  uint64_t seed = 1;
  /// Without one: the data set's own (CIFAR, synthetic), ImageNet's for the others.
  std::optional<Normalization> normalization = {};
  int64_t image_size = 224;  ///< folders only: height and width, 1..4096
  /// Folders only: pictures that are not part of the data set, as ImageSource::name(), in bytewise order.
  std::vector<std::string> leave_out = {};
  /// Folders only: sizes in bytes that stand for these pictures in the fingerprint, whatever their files have now.
  std::map<std::string, uint64_t> sizes = {};
};

struct Splits {
  Dataset train, validation, test;
  Normalization normalization;
  /// "crc32:1f2e3d4c" of images, labels, splits and normalization: a run is resumed only on the same data. For folders
  /// the names and sizes of the files stand for the images.
  std::string fingerprint;
  std::vector<std::string> left_out;  ///< OpenOptions::leave_out
  std::string description;            ///< one line: what was opened, and the sizes of the splits
};

/// `spec` is one of
///   synthetic        10 classes of procedural 32x32 shapes and textures, always the same 10,000
///   synthetic:N      the first of them: 4 N / 5 for training, N / 5 for tests; N from 50 to a million
///   cifar10:DIR      the binary version: data_batch_1..5.bin, test_batch.bin, batches.meta.txt if there
///   cifar100:DIR     the binary version: train.bin, test.bin, fine_label_names.txt if there
///   imagenet32:DIR   train_data_batch_*.npz, val_data.npz, classes.txt if there; any number of classes
///   folder:DIR       DIR/train/<class>/*, DIR/val/<class>/*: JPEG and PNG pictures of any size, read when needed
/// Throws: InputError naming the file, what was wanted and what was there.
Splits open(const std::string& spec, const OpenOptions& options = {});

}  // namespace kronbit::data
