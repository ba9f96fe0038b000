// NumPy arrays inside .npz archives, read as a stream with every size checked first. Nothing is ever unpacked to disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct zip;
struct zip_file;

namespace kronbit::data {

/// What a .npy header says.
struct NpyHeader {
  std::string type;  ///< NumPy's name: "|u1", "<i8"
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

/// The dictionary of a .npy header: {'descr': '|u1', 'fortran_order': False, 'shape': (50, 3072), }
/// Throws: InputError unless it has exactly these keys, once each, and a shape of at most kMaxRank extents >= 0.
NpyHeader parse_npy_header(std::string_view text, const std::string& where);

/// One array of an archive, read once from front to back.
class NpzArray {
 public:
  /// Opens the archive and reads the header of array `name`.
  /// Throws: InputError unless it is there once, stored or deflated, of type `type` ("|u1"), in C order, of `rank`
  /// extents, and as long as they say.
  NpzArray(const std::filesystem::path& path, const std::string& name, std::string_view type, int64_t rank);

  const std::vector<int64_t>& shape() const { return header_.shape; }
  /// The next bytes. Throws: InputError when the archive ends early or is damaged.
  void read(std::span<std::byte> bytes);
  /// To be called after the last byte. Throws: InputError when there are more, or the checksum is wrong.
  void finish();

 private:
  void open(const std::filesystem::path& path, const std::string& member);
  void read_header(std::string_view type, int64_t rank);

  std::string where_;  // "file.npz: data"
  std::unique_ptr<zip, void (*)(zip*)> archive_;
  std::unique_ptr<zip_file, void (*)(zip_file*)> file_;
  int64_t left_ = 0;  // bytes of the member not read yet
  NpyHeader header_;
};

}  // namespace kronbit::data
