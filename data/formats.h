// The data set formats behind open(): each reads a folder into the images to train on and the images to test on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "data/dataset.h"
#include "data/open.h"

namespace kronbit::data {

struct Sources {
  std::shared_ptr<const ImageSource> train, test;
};

// All throw InputError naming the file, what was wanted and what was there.

/// 10 classes. Record: label, then 32 x 32 red, green and blue values; 10,000 records per file, usually.
Sources open_cifar10(const std::filesystem::path& folder);
/// 100 classes. Record: coarse label, fine label, then as CIFAR-10.
Sources open_cifar100(const std::filesystem::path& folder);
/// Arrays `data` uint8 [N, 3072] and `labels` int64 [N], counted from 1; other arrays (`mean`) are not read.
Sources open_imagenet32(const std::filesystem::path& folder);
/// Pictures are found now and decoded when asked for; DamagedImage then where one cannot be. Training: a random part of
/// the picture of 8 to 100 % of its area and 3:4 to 4:3 of its shape, resized; a random flip. Evaluation: fit() of
/// data/image.h.
Sources open_folder(const std::filesystem::path& folder, const OpenOptions& options);
/// Images of kSyntheticSide x kSyntheticSide, four for training to one for tests; the same on every machine, and the
/// first of a larger set are a smaller one. See data/synthetic.cpp for what is drawn.
inline constexpr int64_t kSyntheticImages = 10000, kSyntheticSide = 32;
Sources make_synthetic(int64_t images = kSyntheticImages);

/// rgb[p * 3 + c] = planes[c * pixels + p].
void planes_to_rgb(const uint8_t* planes, int64_t pixels, uint8_t* rgb);

}  // namespace kronbit::data
