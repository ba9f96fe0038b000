#include "data/image.h"

#include <cstdlib>
#include <cstring>
#include <memory>

#include "data/picture_check.h"
#include "tensor/base/error.h"
#include "tensor/io/file.h"

namespace kronbit::data {
namespace {

// The decoder's memory: no block larger than the largest picture with 8 bytes per pixel, whatever a file unpacks to.
// Zeros at first, because the decoder reads what damaged files leave unwritten: tables, the rows after lost data. The
// same holds of its variables, by the compiler's option (CMakeLists.txt).
constexpr size_t kMaxDecoderBlock = static_cast<size_t>(kMaxPicturePixels) * 8 + (1 << 20);
void* decoder_allocate(size_t bytes) { return bytes <= kMaxDecoderBlock ? std::calloc(bytes, 1) : nullptr; }
void* decoder_reallocate(void* block, size_t bytes) {
  return bytes <= kMaxDecoderBlock ? std::realloc(block, bytes) : nullptr;
}
void decoder_assert(bool holds) {
  if (!holds) throw Error("a promise of the picture decoder does not hold");
}

}  // namespace
}  // namespace kronbit::data

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS 8192
#define STBI_ASSERT(x) kronbit::data::decoder_assert(x)
#define STBI_MALLOC(bytes) kronbit::data::decoder_allocate(bytes)
#define STBI_REALLOC(block, bytes) kronbit::data::decoder_reallocate(block, bytes)
#define STBI_FREE(block) std::free(block)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace kronbit::data {

static_assert(kMaxPictureSide == STBI_MAX_DIMENSIONS);

Image load_image(const std::filesystem::path& path) {
  return decode_image(read_file(path, kMaxPictureBytes), path.native());
}

void check_image(std::span<const std::byte> bytes, const std::string& where) {
  const auto starts_with = [&](std::string_view magic) {
    return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
  };
  if (std::ssize(bytes) > kMaxPictureBytes) {
    input_error(where, "wanted a picture of at most {} bytes, got {}", kMaxPictureBytes, bytes.size());
  }
  if (starts_with("\x89PNG\r\n\x1a\n")) {
    check_png(bytes, where);
  } else if (starts_with("\xff\xd8\xff")) {
    check_jpeg(bytes, where);
  } else {
    input_error(where, "wanted a JPEG or PNG picture, got {}", bytes.empty() ? "an empty file" : "something else");
  }
}

Image decode_image(std::span<const std::byte> bytes, const std::string& where) {
  check_image(bytes, where);
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, channels = 0;
  std::unique_ptr<stbi_uc, void (*)(void*)> pixels(nullptr, &std::free);
  try {
    pixels.reset(stbi_load_from_memory(data, size, &width, &height, &channels, 3));
  } catch (const Error& failure) {
    input_error(where, "cannot decode the picture: {}", failure.what());
  }
  if (!pixels) input_error(where, "cannot decode the picture: {}", stbi_failure_reason());
  return Image{height, width, std::vector<uint8_t>(pixels.get(), pixels.get() + int64_t{height} * width * 3)};
}

}  // namespace kronbit::data
