// Pictures: decoding, refusing, resizing, cropping.
#include <cmath>
#include <cstring>
#include <memory>

#include "tests/data/files.h"

namespace kronbit::data {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }
Image decode(const std::string& bytes) { return decode_image(bytes_of(bytes), "picture"); }

Image random_image(int64_t height, int64_t width, uint64_t seed) {
  Rng rng(seed, Purpose::Test);
  Image image{height, width, std::vector<uint8_t>(static_cast<size_t>(height * width * 3))};
  for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(rng.below(256));
  return image;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(ImageTest, DecodesPng) {
  const Image image = random_image(5, 7, 1);
  const Image decoded = decode(png(image));
  EXPECT_EQ(decoded.height, 5);
  EXPECT_EQ(decoded.width, 7);
  EXPECT_EQ(decoded.rgb, image.rgb);
}

TEST(ImageTest, MakesRgbOfGreyAndDropsAlpha) {
  EXPECT_EQ(decode(png(2, 1, 0, "\x10\x20")).rgb, (std::vector<uint8_t>{0x10, 0x10, 0x10, 0x20, 0x20, 0x20}));
  EXPECT_EQ(decode(png(2, 1, 6,
                       "abc\x01"
                       "def\xff"))
                .rgb,
            (std::vector<uint8_t>{'a', 'b', 'c', 'd', 'e', 'f'}));
}

TEST(ImageTest, DecodesJpegWhateverItsName) {
  const TemporaryFolder folder;
  const Image image = load_image(folder.write("lies.png", grey_jpeg()));
  EXPECT_EQ(image.height, 8);
  EXPECT_EQ(image.width, 8);
  for (uint8_t value : image.rgb) EXPECT_NEAR(value, 168, 1);
}

TEST(ImageTest, RefusesOtherFiles) {
  const TemporaryFolder folder;
  EXPECT_INPUT_ERROR(load_image(folder.path() / "none.png"), "none.png", "cannot open");
  EXPECT_INPUT_ERROR(load_image(folder.path()), "regular file");
  EXPECT_INPUT_ERROR(load_image(folder.write("a.jpg", "")), "a.jpg", "empty");
  for (const char* other :
       {"GIF89a.......", "8BPS........", "#?RADIANCE\n", "<html></html>", "BM........", "\xff\xd8"}) {
    EXPECT_INPUT_ERROR(load_image(folder.write("b.jpg", other)), "b.jpg", "JPEG or PNG");
  }
}

TEST(ImageTest, RefusesEveryTruncation) {
  for (const std::string& whole : {png(random_image(3, 3, 1)), grey_jpeg()}) {
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_INPUT_ERROR(decode(whole.substr(0, size)), "picture");
    }
    EXPECT_NO_THROW(decode(whole + "trailing"));
  }
}

TEST(ImageTest, RefusesHugePicturesByTheirHeader) {
  std::string ihdr("\x00\x00\xff\xff\x00\x00\xff\xff\x08\x02\x00\x00\x00", 13);
  const auto picture = [&] {
    return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", ihdr) + png_chunk("IDAT", "x") + png_chunk("IEND", "");
  };
  EXPECT_INPUT_ERROR(decode(picture()), "8192", "got 65535 x 65535");
  ihdr.replace(0, 8, std::string("\x00\x00\x20\x01\x00\x00\x00\x01", 8));  // 8193 x 1
  EXPECT_INPUT_ERROR(decode(picture()), "8192", "got 8193 x 1");
  EXPECT_INPUT_ERROR(decode(replaced(grey_jpeg(), std::string("\x00\x08\x00\x08", 4), "\xff\xff\xff\xff")),
                     "got 65535 x 65535");
}

TEST(ImageTest, RefusesDamagedPng) {
  const std::string good = png(random_image(3, 3, 1));
  for (size_t at = 8; at < good.size(); ++at) {  // every byte is covered by a length or a checksum
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    EXPECT_INPUT_ERROR(decode(bad), "picture");
  }
  const std::string ihdr = good.substr(8, 25);
  EXPECT_INPUT_ERROR(decode(good.substr(0, 33) + ihdr + good.substr(33)), "one IHDR");
  EXPECT_INPUT_ERROR(decode(good.substr(0, 33) + png_chunk("IEND", "")), "picture");
}

TEST(ImageTest, RefusesDamagedJpeg) {
  const std::string good = grey_jpeg();
  const std::string counts = std::string("\xc4\x00\x14\x00\x01", 5);
  ASSERT_NE(good.find(counts), std::string::npos);
  EXPECT_INPUT_ERROR(decode(replaced(good, counts, std::string("\xc4\x00\x14\x00\x03", 5))), "Huffman");
  EXPECT_INPUT_ERROR(decode(replaced(good, counts, std::string("\xc4\x00\x01\x00\x01", 5))), "a segment of 1 bytes");
  const size_t scan = good.find("\xff\xda"), end = good.size() - 2;
  EXPECT_INPUT_ERROR(decode(good.substr(0, scan) + "\xff\xd9"), "one frame and its scans, got 1 and 0");
  std::string scans = good.substr(0, scan);
  for (int k = 0; k < 101; ++k) scans += good.substr(scan, end - scan);
  EXPECT_INPUT_ERROR(decode(scans + "\xff\xd9"), "at most 100 scans");
  const size_t frame = good.find("\xff\xc0");
  EXPECT_INPUT_ERROR(decode(good.substr(0, frame) + good.substr(frame, 13) + good.substr(frame)), "got 2");
}

std::string jpeg_segment(char marker, const std::string& content) {
  const size_t length = content.size() + 2;
  return std::string{'\xff', marker, static_cast<char>(length >> 8), static_cast<char>(length)} + content;
}

/// grey_jpeg() with steps of `step` and whole segments left out or put in before the scan.
std::string grey_jpeg_with(char step, const std::string& left_out, const std::string& before_scan = "") {
  std::string picture = replaced(grey_jpeg(), std::string(64, '\x40'), std::string(64, step));
  for (size_t at = 2; !left_out.empty() && picture[at + 1] != '\xda';) {
    const size_t length = 2 + static_cast<uint8_t>(picture[at + 2]) * 256u + static_cast<uint8_t>(picture[at + 3]);
    if (left_out.find(picture[at + 1]) != std::string::npos) {
      picture.erase(at, length);
    } else {
      at += length;
    }
  }
  return picture.insert(picture.find("\xff\xda"), before_scan);
}

TEST(ImageTest, RefusesJpegScansWithoutTheirTables) {
  for (char step : {'\x40', '\x10'}) {  // whatever picture the decoder had before
    for (const char* left_out : {"\xc4", "\xdb", "\xc4\xdb"}) {
      EXPECT_NO_THROW(decode(grey_jpeg_with(step, "")));
      EXPECT_INPUT_ERROR(decode(grey_jpeg_with('\x40', left_out)), "damaged", "a scan without its tables");
    }
  }
  // One table of two; tables that nothing names.
  const std::string one_code = std::string{'\x01'} + std::string(15, '\0');
  const std::string dc = '\0' + one_code + '\x03', ac = '\x10' + one_code + '\0', steps(64, '\x40');
  EXPECT_INPUT_ERROR(decode(grey_jpeg_with('\x40', "\xc4", jpeg_segment('\xc4', dc))), "without its tables");
  EXPECT_INPUT_ERROR(decode(grey_jpeg_with('\x40', "\xc4", jpeg_segment('\xc4', ac))), "without its tables");
  EXPECT_INPUT_ERROR(decode(grey_jpeg_with('\x40', "\xdb", jpeg_segment('\xdb', '\x01' + steps))),
                     "without its tables");
  EXPECT_INPUT_ERROR(decode(grey_jpeg_with('\x40', "", jpeg_segment('\xdb', '\x04' + steps))), "tables 0 to 3, got 4");
  EXPECT_INPUT_ERROR(decode(grey_jpeg_with('\x40', "", jpeg_segment('\xc4', '\x04' + one_code + '\0'))), "got 4");
  EXPECT_INPUT_ERROR(decode(grey_jpeg_with('\x40', "", jpeg_segment('\xc4', '\x20' + one_code + '\0'))), "Huffman");
  // Between the frame and its scan, two tables in a segment: as good as before the frame.
  const std::string late = jpeg_segment('\xdb', '\0' + steps) + jpeg_segment('\xc4', dc + ac);
  EXPECT_EQ(decode(grey_jpeg_with('\x40', "\xc4\xdb", late)).rgb, decode(grey_jpeg()).rgb);
  // A scan of another component than the frame's.
  const std::string scan = std::string("\xda\x00\x08\x01\x01", 5);
  EXPECT_INPUT_ERROR(decode(replaced(grey_jpeg(), scan, std::string("\xda\x00\x08\x01\x02", 5))), "does not have");
}

TEST(ImageTest, ProgressiveScansNeedOnlyTheTablesOfTheirFrequencies) {
  // The mean alone, in one scan or refined by a second that has no tables: 0 101, then a bit.
  const std::string only_mean = replaced(grey_jpeg_with('\x40', ""), "\xff\xc0", "\xff\xc2");
  const std::string scan = std::string("\xda\x00\x08\x01\x01\x00\x00\x3f\x00", 9);
  const auto with = [&](const char(&header)[10]) { return replaced(only_mean, scan, std::string(header, 9)); };
  EXPECT_EQ(decode(with("\xda\x00\x08\x01\x01\x01\x00\x00\x00")).rgb, decode(grey_jpeg()).rgb);    // AC table 1: none
  EXPECT_INPUT_ERROR(decode(with("\xda\x00\x08\x01\x01\x10\x00\x00\x00")), "without its tables");  // DC table 1
  EXPECT_NO_THROW(decode(with("\xda\x00\x08\x01\x01\x10\x00\x00\x10")));                           // a refinement
  EXPECT_INPUT_ERROR(decode(with("\xda\x00\x08\x01\x01\x01\x01\x3f\x00")), "without its tables");  // AC table 1
}

/// Memory of the sizes that the decoder asks for, full of `value` when it is given back; so is the stack.
__attribute__((noinline)) void leave_behind(int value) {
  std::vector<std::unique_ptr<char[]>> blocks;
  for (int k = 0; k < 50; ++k) {
    for (size_t size : {64, 207, 271, 512, 4111, 4112, 12288, 18000, 20000}) {
      blocks.push_back(std::make_unique<char[]>(size));
      std::memset(blocks.back().get(), value, size);
    }
  }
  volatile char stack[40000];
  for (volatile char& byte : stack) byte = static_cast<char>(value);
}

TEST(ImageTest, DamagedPicturesAreTheSameEveryTime) {
  // 64 x 64, a restart after every block of 8 x 8, and the end after the first one.
  std::string lost = replaced(grey_jpeg_with('\x40', "", jpeg_segment('\xdd', std::string("\x00\x01", 2))),
                              std::string("\x00\x08\x00\x08", 4), std::string("\x00\x40\x00\x40", 4));
  // A palette of one colour, and a pixel of colour 5.
  std::string palette = png(1, 1, 3, "\x05");
  palette.insert(33, png_chunk("PLTE", "abc"));
  for (const std::string& picture : {lost, palette}) {
    leave_behind(11);
    const Image first = decode(picture);
    leave_behind(222);
    EXPECT_EQ(decode(picture).rgb, first.rgb);
  }
}

/// Resizing as its definition reads: for each output pixel, the triangle-weighted mean of all input pixels.
double plain_resize(const Image& image, int64_t height, int64_t width, int64_t y, int64_t x, int64_t c) {
  const auto weight = [](int64_t in, int64_t out, int64_t o, int64_t i) {
    const double scale = static_cast<double>(in) / static_cast<double>(out), reach = std::max(scale, 1.0);
    const double distance = (static_cast<double>(i) + 0.5) - (static_cast<double>(o) + 0.5) * scale;
    return std::max(0.0, 1 - std::abs(distance) / reach);
  };
  double sum = 0, weights = 0;
  for (int64_t i = 0; i < image.height; ++i) {
    for (int64_t j = 0; j < image.width; ++j) {
      const double w = weight(image.height, height, y, i) * weight(image.width, width, x, j);
      sum += w * image.rgb[static_cast<size_t>((i * image.width + j) * 3 + c)];
      weights += w;
    }
  }
  return sum / weights;
}

TEST(ImageTest, ResizesAsDefined) {
  for (const auto& [h, w] : std::vector<std::pair<int64_t, int64_t>>{{4, 5}, {13, 9}, {30, 31}, {1, 1}, {13, 40}}) {
    const Image image = random_image(13, 17, 3);
    const Image result = resize(image, h, w);
    ASSERT_EQ(result.rgb.size(), static_cast<size_t>(h * w * 3));
    for (int64_t y = 0; y < h; ++y) {
      for (int64_t x = 0; x < w; ++x) {
        for (int64_t c = 0; c < 3; ++c) {  // rounded to 8 bits twice
          ASSERT_NEAR(result.rgb[static_cast<size_t>((y * w + x) * 3 + c)], plain_resize(image, h, w, y, x, c), 1.01);
        }
      }
    }
  }
  const Image image = random_image(6, 9, 4);
  EXPECT_EQ(resize(image, 6, 9).rgb, image.rgb);
}

TEST(ImageTest, FitIsResizeThenCentreCrop) {
  const Image image = random_image(75, 100, 5);
  const Image fitted = fit(image, 56, 56);  // the shorter side becomes 64, the other 85
  EXPECT_EQ(fitted.rgb, crop(resize(image, 64, 85), 4, 14, 56, 56).rgb);
  EXPECT_EQ(fit(image, 75, 100).rgb, image.rgb);
  EXPECT_EQ(fit(random_image(1, 1, 6), 32, 32).rgb.size(), 32u * 32 * 3);
  EXPECT_EQ(fit(random_image(1, 3000, 6), 32, 32).rgb.size(), 32u * 32 * 3);
  EXPECT_EQ(fit(random_image(33, 32, 6), 32, 32).rgb.size(), 32u * 32 * 3);
}

TEST(ImageTest, TensorIsNormalized) {
  const Image image{1, 2, {0, 51, 255, 102, 153, 204}};
  const Tensor x = to_tensor(image, {{0.5f, 0.2f, 0}, {0.5f, 0.1f, 2}});
  EXPECT_EQ(x.shape(), (Shape{1, 2, 1, 3}));
  const std::vector<float> expected{-1, 0, 0.5f, -0.2f, 4, 0.4f};
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(x.values()[i], expected[i], 1e-6);
}

TEST(NormalizationTest, ParsesAndPrints) {
  EXPECT_EQ(parse_normalization("imagenet"), kImageNet);
  EXPECT_EQ(parse_normalization("cifar10"), kCifar10);
  EXPECT_EQ(parse_normalization(kCifar100.text()), kCifar100);
  const Normalization odd{{1.0f / 3, -2, 1e-8f}, {0.1f, 1e10f, 3}};
  EXPECT_EQ(parse_normalization(odd.text()), odd);
  for (const char* text :
       {"", "foo", "0,0,0", "0,0,0/1,1", "0,0,0/1,1,1,1", "0,0,0/0,1,1", "0,0,0/1,-1,1", "0,0,nan/1,1,1",
        "0,0,0/1,1,inf", "0,0,1e99/1,1,1", "0,0,0/1,1,1 ", " 0,0,0/1,1,1", "0;0;0/1;1;1"}) {
    EXPECT_INPUT_ERROR(parse_normalization(text), "[normalize]");
  }
}

}  // namespace
}  // namespace kronbit::data
