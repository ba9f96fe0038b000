#include "data/picture_check.h"

#include <cstdint>
#include <map>
#include <vector>

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

/// Of a JPEG, as far as it was read.
struct JpegTables {
  uint32_t quantization = 0, huffman[2] = {};  // bit n: table n is there; Huffman tables of class 0 (DC) and 1 (AC)
  bool progressive = false;
  std::map<uint32_t, uint32_t> components;  // quantization table by the identifier that scans name
};

uint32_t table_bit(uint32_t number, const std::string& where) {
  if (number > 3) input_error(where, "the picture is damaged: wanted tables 0 to 3, got {}", number);
  return 1u << number;
}

/// One DQT segment: precision and number, then 64 steps of one or two bytes.
void read_quantization_tables(Reader content, JpegTables& tables, const std::string& where) {
  while (content.left() > 0) {
    const uint32_t head = content.number(1);
    content.take(head >> 4 == 0 ? 64 : 128);
    tables.quantization |= table_bit(head & 15, where);
  }
}

/// One DHT segment: class and number, how many codes of 1..16 bits, the values.
void read_huffman_tables(Reader content, JpegTables& tables, const std::string& where) {
  while (content.left() > 0) {
    const uint32_t head = content.number(1);
    uint32_t codes = 0, used = 0;  // used: share of the 2^16 codes of 16 bits
    for (uint32_t length = 1; length <= 16; ++length) {
      const uint32_t count = content.number(1);
      codes += count;
      used += count << (16 - length);
    }
    if (codes > 256 || used > 65536 || head >> 4 > 1) {
      input_error(where, "the picture is damaged: impossible Huffman table");
    }
    content.take(codes);
    tables.huffman[head >> 4] |= table_bit(head & 15, where);
  }
}

/// One SOF segment: bits per value, height, width, then identifier, sampling and quantization table by component.
void read_frame(Reader content, JpegTables& tables, const std::string& where) {
  content.number(1);
  const uint32_t height = content.number(2), width = content.number(2);
  check_size(width, height, where);
  for (uint32_t left = content.number(1); left > 0; --left) {
    const uint32_t identifier = content.number(1);
    content.number(1);
    tables.components.try_emplace(identifier, content.number(1));
  }
}

/// One SOS segment: identifier and Huffman tables by component, first and last frequency, bits of precision before and
/// after. A table may stand anywhere before the first scan that needs it. Frames of a video often leave out the Huffman
/// tables and mean those that the standard shows as examples (K.3): the decoder does not know them.
void check_scan(Reader content, JpegTables& tables, const std::string& where) {
  const auto demand = [&](uint32_t known, uint32_t number) {
    if ((known & table_bit(number, where)) == 0) {
      input_error(where, "the picture is damaged: a scan without its tables, as in frames of some videos");
    }
  };
  std::vector<uint32_t> huffman;
  for (uint32_t left = content.number(1); left > 0; --left) {
    const auto found = tables.components.find(content.number(1));
    if (found == tables.components.end()) {
      input_error(where, "the picture is damaged: a scan of a component that its frame does not have");
    }
    demand(tables.quantization, found->second);
    huffman.push_back(content.number(1));
  }
  const uint32_t first = content.number(1), last = content.number(1), before = content.number(1) >> 4;
  for (uint32_t numbers : huffman) {
    if (first == 0 && before == 0) demand(tables.huffman[0], numbers >> 4);
    if (!tables.progressive || last > 0) demand(tables.huffman[1], numbers & 15);
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
  JpegTables tables;
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
      tables.progressive = marker == 0xC2;
      read_frame(Reader(segment, where), tables, where);
    }
    if (marker == 0xC4) read_huffman_tables(Reader(segment, where), tables, where);
    if (marker == 0xDB) read_quantization_tables(Reader(segment, where), tables, where);
    if (marker == 0xDA) {
      if (++scans > kMaxPictureScans)
        input_error(where, "wanted a JPEG of at most {} scans, got more", kMaxPictureScans);
      check_scan(Reader(segment, where), tables, where);
    }
  }
  if (frames != 1 || scans < 1) {
    input_error(where, "the picture is damaged: wanted one frame and its scans, got {} and {}", frames, scans);
  }
}

}  // namespace kronbit::data
