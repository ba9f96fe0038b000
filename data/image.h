// One 8-bit RGB picture in memory: reading JPEG and PNG files, resizing, cropping. Not a data set: see data/dataset.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/normalization.h"
#include "tensor/tensor.h"

namespace kronbit::data {

/// rgb[(y * width + x) * 3 + channel], rows from the top.
struct Image {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> rgb;
};

// Limits of a picture, checked from its header before anything is decoded. A photograph fits; a decompression bomb does
// not.
inline constexpr int64_t kMaxPictureBytes = int64_t{64} << 20;
inline constexpr int64_t kMaxPictureSide = 8192;
inline constexpr int64_t kMaxPicturePixels = int64_t{64} << 20;
inline constexpr int kMaxPictureScans = 100;  // of a progressive JPEG: encoders write about ten

/// The picture in a JPEG or PNG file of any size within the limits; grey becomes RGB, alpha is dropped. The content
/// decides what the file is, not its name. Throws: InputError naming the file: not a JPEG or PNG, too large, truncated,
/// damaged, not a regular file.
Image load_image(const std::filesystem::path& path);
/// As load_image(), of bytes in memory; `where` names them in messages.
Image decode_image(std::span<const std::byte> bytes, const std::string& where);

/// Throws: InputError as decode_image(), for everything that shows before the pixels are decoded.
void check_image(std::span<const std::byte> bytes, const std::string& where);

/// Resized by bilinear interpolation, with antialiasing when it shrinks: every output pixel is the mean of the input
/// under a triangle that is wide enough to touch all of it. Requires: height, width >= 1.
Image resize(const Image& image, int64_t height, int64_t width);
/// The rectangle with corner (top, left). Requires: it lies inside the image.
Image crop(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width);
/// What evaluation shows the network: an image of exactly that size is returned as it is; any other is resized so that
/// it covers 256/224 of height x width, then cropped at its centre.
Image fit(const Image& image, int64_t height, int64_t width);

/// [H][W][1][3], normalized.
Tensor to_tensor(const Image& image, const Normalization& normalization);

}  // namespace kronbit::data
