#include "data/picture_check.h"

#include <cstdint>

#include "data/image.h"
#include "tensor/base/error.h"
#include "tensor/io/crc32.h"

namespace kronbit::data {
namespace {

/// Reads big-endian numbers from the front; past the end the picture is truncated.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {}
  size_t left() const { return bytes_.size(); }
  std::span<const std::byte> take(size_t count) {
    if (count > bytes_.size())
      input_error(where_, "the picture is truncated: wanted {} more bytes, got {}", count, left());
    const auto front = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return front;
  }
  uint32_t number(size_t count) {
    uint32_t value = 0;
    for (std::byte byte : take(count)) value = value << 8 | std::to_integer<uint32_t>(byte);
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& where_;
};

void check_size(uint32_t width, uint32_t height, const std::string& where) {
  if (width < 1 || height < 1 || width > kMaxPictureSide || height > kMaxPictureSide ||
      int64_t{width} * height > kMaxPicturePixels) {
    input_error(where, "wanted a picture of 1 x 1 to {} x {} and at most {} pixels, got {} x {}", kMaxPictureSide,
                kMaxPictureSide, kMaxPicturePixels, width, height);
  }
}

constexpr uint32_t tag(const char (&name)[5]) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(name[i]);
  return value;
}

/// The tables of one DHT segment: class and number, how many codes of 1..16 bits, the values.
void check_huffman_tables(Reader tables, const std::string& where) {
  while (tables.left() > 0) {
    tables.number(1);
    uint32_t codes = 0, used = 0;  // used: share of the 2^16 codes of 16 bits
    for (uint32_t length = 1; length <= 16; ++length) {
      const uint32_t count = tables.number(1);
      codes += count;
      used += count << (16 - length);
    }
    if (codes > 256 || used > 65536) input_error(where, "the picture is damaged: impossible Huffman table");
    tables.take(codes);
  }
}

/// Moves to the next marker, over coded image data (where FF is followed by 00 or a restart marker) and padding.
uint32_t next_marker(Reader& in) {
  for (;;) {
    while (in.number(1) != 0xFF) {
    }
    uint32_t code = in.number(1);
    while (code == 0xFF) code = in.number(1);
    const bool restart = code >= 0xD0 && code <= 0xD7;
    if (code != 0 && !restart) return code;
  }
}

}  // namespace

void check_png(std::span<const std::byte> bytes, const std::string& where) {
  Reader in(bytes, where);
  in.take(8);
  for (bool first = true;; first = false) {
    const uint32_t length = in.number(4);
    if (length > INT32_MAX) input_error(where, "the picture is damaged: a chunk of {} bytes", length);
    const auto chunk = in.take(size_t{4} + length);
    if (in.number(4) != crc32(chunk)) input_error(where, "the picture is damaged: wrong checksum");
    Reader content(chunk, where);
    const uint32_t name = content.number(4);
    if ((name == tag("IHDR")) != first) input_error(where, "the picture is damaged: wanted one IHDR, at the front");
    if (first) {
      const uint32_t width = content.number(4), height = content.number(4);
      check_size(width, height, where);
    }
    if (name == tag("IEND")) return;
  }
}

void check_jpeg(std::span<const std::byte> bytes, const std::string& where) {
  Reader in(bytes, where);
  in.take(2);
  int frames = 0, scans = 0;
  for (;;) {
    const uint32_t marker = next_marker(in);
    if (marker == 0xD9) break;  // end of image
    const uint32_t length = in.number(2);
    if (length < 2) input_error(where, "the picture is damaged: a segment of {} bytes", length);
    const auto segment = in.take(length - 2);
    const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame) {
      ++frames;
      Reader content(segment, where);
      content.number(1);  // bits per value
      const uint32_t height = content.number(2), width = content.number(2);
      check_size(width, height, where);
    }
    if (marker == 0xC4) check_huffman_tables(Reader(segment, where), where);
    if (marker == 0xDA && ++scans > kMaxPictureScans) {
      input_error(where, "wanted a JPEG of at most {} scans, got more", kMaxPictureScans);
    }
  }
  if (frames != 1 || scans < 1) {
    input_error(where, "the picture is damaged: wanted one frame and its scans, got {} and {}", frames, scans);
  }
}

}  // namespace kronbit::data
