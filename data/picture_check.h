// Looks at the structure of a JPEG or PNG file before the decoder does. The decoder is lenient (what it finds no data or
// tables for stays black, or grey) and trusts some counts; here such files are refused by name, unless only the coded
// pixels tell.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace kronbit::data {

/// Requires: the magic number of a PNG at the front.
/// Throws: InputError unless it is within the limits of data/image.h and a chain of chunks with correct checksums from
/// one IHDR to IEND.
void check_png(std::span<const std::byte> bytes, const std::string& where);

/// Requires: the magic number of a JPEG at the front.
/// Throws: InputError unless it is within the limits of data/image.h and its segments lead to an end marker, with one
/// frame, 1 to kMaxPictureScans scans, each of components of the frame and after the tables that it needs, and Huffman
/// tables of at most 256 codes that fit their lengths.
void check_jpeg(std::span<const std::byte> bytes, const std::string& where);

}  // namespace kronbit::data
