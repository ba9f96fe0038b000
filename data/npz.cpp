#include "data/npz.h"

#include <fmt/ranges.h>

#include <zip.h>

#include <algorithm>
#include <optional>

#include "tensor/base/error.h"
#include "tensor/io/file.h"
#include "tensor/io/limits.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"

namespace kronbit::data {
namespace {

constexpr int64_t kMaxMembers = 1024;
constexpr int64_t kMaxNpyHeader = 64 << 10;
constexpr uint64_t kMaxDeflateRatio = 1032;  // a match of 258 bytes takes at least two bits

/// Reads the literal of a .npy header, token by token.
class Literal {
 public:
  Literal(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  bool accept(std::string_view token) {
    text_.remove_prefix(std::min(text_.find_first_not_of(" \n"), text_.size()));
    if (!text_.starts_with(token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) input_error(where_, "array header: wanted {}, got {}", token, quote(text_));
  }
  std::string string() {
    expect("'");
    const std::string value(text_.substr(0, text_.find('\'')));
    text_.remove_prefix(value.size());
    expect("'");
    return value;
  }
  int64_t number() {
    accept("");  // blanks
    const std::string_view digits = text_.substr(0, std::min(text_.find_first_not_of("0123456789"), text_.size()));
    text_.remove_prefix(digits.size());
    return parse_int(digits, 0, INT64_MAX, where_);
  }
  bool done() { return accept("") && text_.empty(); }

 private:
  std::string_view text_;
  const std::string& where_;
};

std::vector<int64_t> parse_shape(Literal& in, const std::string& where) {
  std::vector<int64_t> shape;
  in.expect("(");
  bool comma = true;
  while (!in.accept(")")) {
    if (!comma) in.expect(",");
    shape.push_back(in.number());
    comma = in.accept(",");
    if (std::ssize(shape) > kMaxRank) input_error(where, "array header: wanted at most {} extents, got more", kMaxRank);
  }
  if (shape.size() == 1 && !comma) input_error(where, "array header: wanted a tuple, got a number in brackets");
  return shape;
}

uint32_t little_endian(std::span<const std::byte> bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | std::to_integer<uint32_t>(bytes[i]);
  return value;
}

}  // namespace

NpyHeader parse_npy_header(std::string_view text, const std::string& where) {
  std::optional<std::string> type;
  std::optional<bool> fortran;
  std::optional<std::vector<int64_t>> shape;
  Literal in(text, where);
  in.expect("{");
  bool comma = true;
  while (!in.accept("}")) {
    if (!comma) in.expect(",");
    const std::string key = in.string();
    in.expect(":");
    if (key == "descr" && !type) {
      type = in.string();
    } else if (key == "fortran_order" && !fortran) {
      fortran = in.accept("True");
      if (!*fortran) in.expect("False");
    } else if (key == "shape" && !shape) {
      shape = parse_shape(in, where);
    } else {
      input_error(where, "array header: wanted descr, fortran_order and shape once each, got {}", quote(key));
    }
    comma = in.accept(",");
  }
  if (!type || !fortran || !shape || !in.done()) {
    input_error(where, "array header: wanted descr, fortran_order and shape, got {}", quote(text));
  }
  return {*type, *fortran, *shape};
}

NpzArray::NpzArray(const std::filesystem::path& path, const std::string& name, std::string_view type, int64_t rank)
    : where_(path.native() + ": " + name),
      archive_(nullptr, [](zip* archive) { zip_discard(archive); }),
      file_(nullptr, [](zip_file* file) { zip_fclose(file); }) {
  open(path, name + ".npy");
  read_header(type, rank);
}

void NpzArray::open(const std::filesystem::path& path, const std::string& member) {
  const std::string& file_name = path.native();
  open_regular(path);
  int code = 0;
  archive_.reset(zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code));
  if (!archive_) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    input_error(file_name, "cannot be read as an .npz archive: {}", reason);
  }
  const int64_t members = zip_get_num_entries(archive_.get(), 0);
  if (members > kMaxMembers) input_error(file_name, "wanted at most {} arrays, got {}", kMaxMembers, members);
  std::optional<uint64_t> found;
  for (uint64_t i = 0; i < static_cast<uint64_t>(members); ++i) {
    const char* name = zip_get_name(archive_.get(), i, ZIP_FL_ENC_RAW);
    if (name == nullptr || name != member) continue;
    if (found) input_error(where_, "wanted the array once, got it twice");
    found = i;
  }
  if (!found) input_error(where_, "wanted an array of this name, got none");

  zip_stat_t status;
  constexpr uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  if (zip_stat_index(archive_.get(), *found, 0, &status) != 0 || (status.valid & kNeeded) != kNeeded) {
    input_error(where_, "wanted a complete entry, got {}", zip_strerror(archive_.get()));
  }
  if (status.encryption_method != ZIP_EM_NONE) input_error(where_, "wanted an archive without encryption");
  if (status.comp_method != ZIP_CM_STORE && status.comp_method != ZIP_CM_DEFLATE) {
    input_error(where_, "wanted it stored or deflated, got compression method {}", status.comp_method);
  }
  const uint64_t most = status.comp_method == ZIP_CM_STORE ? status.comp_size : status.comp_size * kMaxDeflateRatio;
  if (status.comp_size > UINT64_MAX / kMaxDeflateRatio || status.size > most) {
    input_error(where_, "wanted at most {} bytes from {} packed ones, got {}", most, status.comp_size, status.size);
  }
  left_ = static_cast<int64_t>(status.size);
  file_.reset(zip_fopen_index(archive_.get(), *found, 0));
  if (!file_) input_error(where_, "cannot be read: {}", zip_strerror(archive_.get()));
}

void NpzArray::read_header(std::string_view type, int64_t rank) {
  std::array<std::byte, 12> start;
  read(std::span(start).first(8));
  constexpr std::array<uint8_t, 6> kMagic{0x93, 'N', 'U', 'M', 'P', 'Y'};
  const bool magic = std::equal(kMagic.begin(), kMagic.end(), reinterpret_cast<const uint8_t*>(start.data()));
  const int version = std::to_integer<int>(start[6]);
  if (!magic || version < 1 || version > 3) input_error(where_, "wanted a NumPy array of version 1 to 3");
  const auto length = std::span(start).subspan(8, version == 1 ? 2 : 4);
  read(length);
  if (little_endian(length) > kMaxNpyHeader) {
    input_error(where_, "array header: wanted at most {} bytes, got {}", kMaxNpyHeader, little_endian(length));
  }
  std::string text(little_endian(length), '\0');
  read(std::as_writable_bytes(std::span(text)));
  header_ = parse_npy_header(text, where_);

  if (header_.type != type) input_error(where_, "wanted numbers of type {}, got {}", type, quote(header_.type));
  if (header_.fortran_order) input_error(where_, "wanted rows one after the other (C order), got Fortran order");
  if (std::ssize(header_.shape) != rank) input_error(where_, "wanted {} extents, got {}", rank, header_.shape.size());
  int64_t bytes = type.back() - '0';
  bool fits = true;
  for (int64_t extent : header_.shape) fits = fits && !__builtin_mul_overflow(bytes, extent, &bytes);
  if (!fits || bytes != left_) {
    input_error(where_, "wanted as many bytes as the shape [{}] of {} says, got {}", fmt::join(header_.shape, ", "),
                type, left_);
  }
}

void NpzArray::read(std::span<std::byte> bytes) {
  if (std::ssize(bytes) > left_) input_error(where_, "ends early: wanted {} more bytes, got {}", bytes.size(), left_);
  left_ -= std::ssize(bytes);
  while (!bytes.empty()) {
    const int64_t got = zip_fread(file_.get(), bytes.data(), bytes.size());
    if (got < 0) input_error(where_, "is damaged: {}", zip_file_strerror(file_.get()));
    if (got == 0) input_error(where_, "ends early: wanted {} more bytes, got none", bytes.size());
    bytes = bytes.subspan(static_cast<size_t>(got));
  }
}

void NpzArray::finish() {
  KB_CHECK_EQ(left_, 0);
  std::byte more;  // the library checks length and checksum only when it is asked for what follows the last byte
  const int64_t got = zip_fread(file_.get(), &more, 1);
  if (got > 0) input_error(where_, "is longer than the archive says");
  if (got < 0) input_error(where_, "is damaged: {}", zip_file_strerror(file_.get()));
}

}  // namespace kronbit::data
