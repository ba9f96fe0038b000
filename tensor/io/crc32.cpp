#include "tensor/io/crc32.h"

#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "tensor/base/error.h"
#include "tensor/io/file.h"
#include "tensor/io/text.h"

namespace kronbit {

uint32_t crc32(std::span<const std::byte> bytes, uint32_t start) {
  return static_cast<uint32_t>(::crc32_z(start, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

uint32_t crc32(std::string_view text, uint32_t start) { return crc32(std::as_bytes(std::span(text)), start); }

uint32_t crc32_of_file(const std::filesystem::path& path) {
  const Descriptor fd = open_regular(path);
  std::vector<std::byte> piece(1 << 20);
  uint32_t crc = 0;
  for (;;) {
    const ssize_t n = ::read(fd.get(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(fmt::format("[{}] cannot read: {}", printable(path.native()), std::strerror(errno)));
    if (n == 0) return crc;
    crc = crc32(std::span(piece).first(static_cast<size_t>(n)), crc);
  }
}

std::string hex_of(uint32_t crc) { return fmt::format("{:08x}", crc); }

}  // namespace kronbit
