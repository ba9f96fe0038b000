// What the tests of data/ share: writers of the formats that can also write them wrongly.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/image.h"
#include "tests/tensor/message_of.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit::data {

/// A CIFAR record: the label bytes, then 3 x 1024 pixels drawn from `seed`.
std::string cifar_record(const std::vector<int>& labels, uint64_t seed);
/// A whole CIFAR-10 folder with `train` images over five files and `test` images.
void write_cifar10(const TemporaryFolder& folder, int train, int test);

/// A PNG file of 8-bit samples: colour type 0 grey, 2 RGB, 3 numbers of colours (their PLTE chunk is to be put in at byte
/// 33), 6 RGB and alpha.
std::string png(int64_t width, int64_t height, int colour_type, const std::string& samples);
/// Of an RGB image.
std::string png(const Image& image);
/// One PNG chunk with its length and checksum.
std::string png_chunk(const std::string& name, const std::string& content);
/// An 8 x 8 JPEG file, all grey of value 168.
std::string grey_jpeg();

/// One member of a zip archive, with everything about it that a test may want to be wrong.
struct ZipMember {
  std::string name, content;
  bool deflate = false;
  std::optional<uint32_t> checksum = {}, size = {};
  uint16_t flags = 0;
  std::optional<uint16_t> method = {};
};
std::string zip_archive(const std::vector<ZipMember>& members);
/// A .npy file with this header dictionary.
std::string npy(const std::string& dictionary, const std::string& content);
std::string npy_labels(const std::vector<int64_t>& labels);
std::string npy_pixels(int64_t images, uint64_t seed);
/// An ImageNet32 archive of these labels, its pixels drawn from `seed`.
std::string npz(const std::vector<int64_t>& labels, uint64_t seed, bool deflate = false);

/// All pixels of image `index` as evaluation sees them.
std::vector<uint8_t> pixels_of(const Dataset& dataset, int64_t index);

}  // namespace kronbit::data

/// The InputError of `expression` has one line, which contains every one of the texts.
#define EXPECT_INPUT_ERROR(expression, ...)                                                            \
  do {                                                                                                 \
    const std::string message = ::kronbit::message_of([&] { (void)(expression); });                    \
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;                                       \
    for (const char* part : {__VA_ARGS__})                                                             \
      EXPECT_NE(message.find(part), std::string::npos) << "\"" << part << "\" is not in: " << message; \
  } while (false)
