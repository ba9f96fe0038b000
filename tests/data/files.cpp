#include "tests/data/files.h"

#include <zlib.h>

#include "tensor/rng.h"

namespace kronbit::data {
namespace {

std::string random_bytes(int64_t count, uint64_t seed) {
  Rng rng(seed, Purpose::Test);
  std::string bytes(static_cast<size_t>(count), '\0');
  for (char& byte : bytes) byte = static_cast<char>(rng.below(256));
  return bytes;
}

std::string big_endian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift & 255));
  return bytes;
}

std::string little_endian(uint64_t value, int bytes) {
  std::string result;
  for (int k = 0; k < bytes; ++k) result.push_back(static_cast<char>(value >> 8 * k & 255));
  return result;
}

uint32_t checksum(const std::string& bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

/// window_bits 15: with zlib's header (PNG); -15: without (zip).
std::string deflated(const std::string& bytes, int window_bits) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string result(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  deflate(&stream, Z_FINISH);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

}  // namespace

std::string cifar_record(const std::vector<int>& labels, uint64_t seed) {
  std::string record;
  for (int label : labels) record.push_back(static_cast<char>(label));
  return record + random_bytes(3072, seed);
}

void write_cifar10(const TemporaryFolder& folder, int train, int test) {
  std::vector<std::string> files(6);
  for (int i = 0; i < train; ++i) files[static_cast<size_t>(i % 5)] += cifar_record({i % 10}, static_cast<uint64_t>(i));
  for (int i = 0; i < test; ++i) files[5] += cifar_record({i % 10}, static_cast<uint64_t>(1000 + i));
  for (size_t k = 0; k < 5; ++k) folder.write(fmt::format("data_batch_{}.bin", k + 1), files[k]);
  folder.write("test_batch.bin", files[5]);
}

std::string png_chunk(const std::string& name, const std::string& content) {
  return big_endian(static_cast<uint32_t>(content.size())) + name + content + big_endian(checksum(name + content));
}

std::string png(int64_t width, int64_t height, int colour_type, const std::string& samples) {
  const size_t row = samples.size() / static_cast<size_t>(height);
  std::string filtered;
  for (size_t y = 0; y < static_cast<size_t>(height); ++y) filtered += '\0' + samples.substr(y * row, row);
  std::string header = big_endian(static_cast<uint32_t>(width)) + big_endian(static_cast<uint32_t>(height));
  header += std::string{'\x08', static_cast<char>(colour_type), '\0', '\0', '\0'};
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", header) + png_chunk("IDAT", deflated(filtered, 15)) +
         png_chunk("IEND", "");
}

std::string png(const Image& image) {
  return png(image.width, image.height, 2, std::string(image.rgb.begin(), image.rgb.end()));
}

std::string grey_jpeg() {
  const auto segment = [](char marker, const std::string& content) {
    return std::string{'\xff', marker} + big_endian(static_cast<uint32_t>(content.size() + 2)).substr(2) + content;
  };
  // One code of one bit in each Huffman table: a difference of three bits for the mean, "nothing more" for the rest.
  const std::string one_code = std::string{'\x01'} + std::string(15, '\0');
  return "\xff\xd8" + segment('\xdb', '\0' + std::string(64, '\x40')) +                           // steps of 64
         segment('\xc0', std::string("\x08\x00\x08\x00\x08\x01\x01\x11\x00", 9)) +                // 8 x 8, one channel
         segment('\xc4', '\0' + one_code + '\x03') + segment('\xc4', '\x10' + one_code + '\0') +  //
         segment('\xda', std::string("\x01\x01\x00\x00\x3f\x00", 6)) + "\x57\xff\xd9";  // 0 101 0 111: 5 steps
}

std::string zip_archive(const std::vector<ZipMember>& members) {
  std::string body, directory;
  for (const ZipMember& member : members) {
    const std::string packed = member.deflate ? deflated(member.content, -15) : member.content;
    const uint16_t method = member.method.value_or(member.deflate ? 8 : 0);
    const std::string common =
        little_endian(member.flags, 2) + little_endian(method, 2) + little_endian(0x00210000, 4) +
        little_endian(member.checksum.value_or(checksum(member.content)), 4) + little_endian(packed.size(), 4) +
        little_endian(member.size.value_or(static_cast<uint32_t>(member.content.size())), 4) +
        little_endian(member.name.size(), 2) + little_endian(0, 2);
    directory += "PK\x01\x02" + little_endian(20, 2) + little_endian(20, 2) + common + little_endian(0, 2) +
                 little_endian(0, 4) + little_endian(0, 4) + little_endian(body.size(), 4) + member.name;
    body += "PK\x03\x04" + little_endian(20, 2) + common + member.name + packed;
  }
  return body + directory + "PK\x05\x06" + little_endian(0, 4) + little_endian(members.size(), 2) +
         little_endian(members.size(), 2) + little_endian(directory.size(), 4) + little_endian(body.size(), 4) +
         little_endian(0, 2);
}

std::string npy(const std::string& dictionary, const std::string& content) {
  return "\x93NUMPY" + std::string{'\x01', '\0'} + little_endian(dictionary.size() + 1, 2) + dictionary + '\n' +
         content;
}

std::string npy_labels(const std::vector<int64_t>& labels) {
  std::string content;
  for (int64_t label : labels) content += little_endian(static_cast<uint64_t>(label), 8);
  return npy(fmt::format("{{'descr': '<i8', 'fortran_order': False, 'shape': ({},), }}", labels.size()), content);
}

std::string npy_pixels(int64_t images, uint64_t seed) {
  return npy(fmt::format("{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, 3072), }}", images),
             random_bytes(images * 3072, seed));
}

std::string npz(const std::vector<int64_t>& labels, uint64_t seed, bool deflate) {
  return zip_archive(
      {{"data.npy", npy_pixels(std::ssize(labels), seed), deflate}, {"labels.npy", npy_labels(labels), deflate}});
}

std::vector<uint8_t> pixels_of(const Dataset& dataset, int64_t index) {
  std::vector<uint8_t> rgb(static_cast<size_t>(dataset.height() * dataset.width() * 3));
  dataset.source().read(dataset.chosen()[static_cast<size_t>(index)], rgb.data());
  return rgb;
}

}  // namespace kronbit::data
