// CRC-32 (zlib's) for journal lines and for recognising the weights and data of a run. Not a protection against intent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace kronbit {

/// CRC-32 of `bytes`, going on from `start` (that of the bytes before; 0 at first).
uint32_t crc32(std::span<const std::byte> bytes, uint32_t start = 0);
uint32_t crc32(std::string_view text, uint32_t start = 0);

/// Of a whole regular file, read piece by piece. Throws: InputError when it cannot be opened.
uint32_t crc32_of_file(const std::filesystem::path& path);

/// Eight lower-case hexadecimal digits.
std::string hex_of(uint32_t crc);

}  // namespace kronbit
