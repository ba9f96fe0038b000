#include <fmt/ranges.h>

#include <algorithm>
#include <bit>

#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/text.h"

namespace kronbit {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors bytes are used as they are");

constexpr int64_t kLengthBytes = 8;

struct NamedType {
  StDType type;
  const char* name;
  int64_t bits;
};

// In the order of the enumeration.
constexpr NamedType kTypes[] = {
    {StDType::C64, "C64", 64},
    {StDType::F64, "F64", 64},
    {StDType::I64, "I64", 64},
    {StDType::U64, "U64", 64},
    {StDType::F32, "F32", 32},
    {StDType::I32, "I32", 32},
    {StDType::U32, "U32", 32},
    {StDType::F16, "F16", 16},
    {StDType::BF16, "BF16", 16},
    {StDType::I16, "I16", 16},
    {StDType::U16, "U16", 16},
    {StDType::U8, "U8", 8},
    {StDType::I8, "I8", 8},
    {StDType::Bool, "BOOL", 8},
    {StDType::F8_E4M3, "F8_E4M3", 8},
    {StDType::F8_E5M2, "F8_E5M2", 8},
    {StDType::F8_E8M0, "F8_E8M0", 8},
    {StDType::F8_E4M3FNUZ, "F8_E4M3FNUZ", 8},
    {StDType::F8_E5M2FNUZ, "F8_E5M2FNUZ", 8},
    {StDType::F6_E2M3, "F6_E2M3", 6},
    {StDType::F6_E3M2, "F6_E3M2", 6},
    {StDType::F4, "F4", 4},
};

const NamedType& entry_of(StDType type) {
  const NamedType& entry = kTypes[static_cast<size_t>(type)];
  KB_CHECK(entry.type == type);
  return entry;
}

// Other files people hand in, by their first bytes; empty when unknown.
std::string hint_for(std::string_view start) {
  static constexpr char kConvert[] =
      " To convert a PyTorch file: python3 -c \"import torch; from safetensors.torch import save_file; "
      "d = torch.load('IN.pth', map_location='cpu', weights_only=True); "
      "d = next((d[k] for k in ('state_dict', 'model', 'net') if k in d), d); "
      "save_file({k: v.clone().contiguous() for k, v in d.items() if torch.is_tensor(v)}, 'OUT.safetensors')\"";
  if (start.starts_with("PK\x03\x04")) return std::string(". This is a zip file, as torch.save writes.") + kConvert;
  if (start.starts_with("\x80\x02") || start.starts_with("\x80\x04")) {
    return std::string(". This is a Python pickle, as torch.save writes.") + kConvert;
  }
  if (start.starts_with("{")) return ". This is JSON text: of an index of shards, give the safetensors file itself";
  if (start.starts_with("version ")) return ". This is a Git LFS pointer: fetch the file itself";
  return "";
}

// The header's JSON text. Afterwards bytes.size() >= 8 + its length.
std::string_view header_of(std::span<const std::byte> bytes, std::string_view file) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.size() < kLengthBytes) input_error(file, "size: wanted a safetensors file, got {} bytes", text.size());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length > static_cast<uint64_t>(kMaxHeaderBytes)) {
    input_error(file, "header length: wanted at most {} bytes, got {}{}", kMaxHeaderBytes, length, hint_for(text));
  }
  if (length > text.size() - kLengthBytes) {
    input_error(file, "header: wanted {} bytes, got {}{}", length, text.size() - kLengthBytes, hint_for(text));
  }
  const std::string_view header = text.substr(kLengthBytes, length);
  if (!header.starts_with('{')) input_error(file, "header: wanted {{ first, got {}", quote(header.substr(0, 8)));
  return header;
}

// A non-negative integer as the reference takes it: digits only.
int64_t as_extent(const Json& value, std::string_view what, std::string_view where) {
  const int64_t extent = as_int(value, 0, INT64_MAX, what, where);
  if (!value.is_number_unsigned()) input_error(where, "{}: wanted digits only, got -0", what);
  return extent;
}

struct Placed {
  TensorInfo info;
  int64_t begin = 0, end = 0;
};

// Bytes that shape and format ask for.
int64_t bytes_wanted(const TensorInfo& info, std::string_view where) {
  int64_t bits = bits_of(info.dtype);
  for (int64_t extent : info.shape) {
    if (__builtin_mul_overflow(bits, extent, &bits)) {
      input_error(where, "shape: wanted a size that fits 63 bits, got [{}]", fmt::join(info.shape, ", "));
    }
  }
  if (bits % 8 != 0) input_error(where, "shape: wanted whole bytes, got {} bits", bits);
  return bits / 8;
}

StDType read_type(const Json& entry, std::string_view where) {
  const std::string& type = get_string(entry, "dtype", where);
  for (const NamedType& known : kTypes) {
    if (type == known.name) return known.type;
  }
  input_error(where, "dtype: wanted F32, F16, BF16, I32 or another one of the format, got {}", quote(type));
}

Placed read_entry(const std::string& name, const Json& entry, int64_t data_bytes, std::string_view file) {
  if (name.empty() || std::ssize(name) > kMaxNameBytes || has_control_characters(name)) {
    input_error(file, "tensor name: wanted 1 to {} bytes without control characters, got {}", kMaxNameBytes,
                quote(name));
  }
  const std::string where = fmt::format("{}: tensor {}", file, quote(name, kMaxNameBytes));
  Placed placed;
  placed.info.name = name;
  placed.info.dtype = read_type(entry, where);

  const Json& shape = get_array(entry, "shape", where);
  if (std::ssize(shape) > kMaxRank) input_error(where, "shape: wanted rank <= {}, got {}", kMaxRank, shape.size());
  for (const Json& extent : shape) placed.info.shape.push_back(as_extent(extent, "shape", where));

  const Json& offsets = get_array(entry, "data_offsets", where);
  if (offsets.size() != 2) input_error(where, "data_offsets: wanted 2 numbers, got {}", offsets.size());
  placed.begin = as_extent(offsets[0], "data_offsets", where);
  placed.end = as_extent(offsets[1], "data_offsets", where);
  if (placed.begin > placed.end || placed.end > data_bytes) {
    input_error(where, "data_offsets: wanted begin <= end <= {} (the file's data), got [{}, {}]", data_bytes,
                placed.begin, placed.end);
  }
  const int64_t wanted = bytes_wanted(placed.info, where);
  if (placed.end - placed.begin != wanted) {
    input_error(where, "data_offsets: wanted {} bytes for {} [{}], got {}", wanted, name_of(placed.info.dtype),
                fmt::join(placed.info.shape, ", "), placed.end - placed.begin);
  }
  return placed;
}

std::map<std::string, std::string> read_metadata(const Json& json, std::string_view file) {
  if (!json.is_object()) input_error(file, "__metadata__: wanted an object of strings");
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : json.items()) {
    metadata[key] = as_string(value, "__metadata__." + quote(key), file);
  }
  return metadata;
}

// Sorted by place, the tensors must fill [0, data_bytes) without hole and overlap.
void check_coverage(const std::vector<Placed>& sorted, int64_t data_bytes, std::string_view file) {
  int64_t at = 0;
  for (const Placed& placed : sorted) {
    if (placed.begin != at) {
      input_error(fmt::format("{}: tensor {}", file, quote(placed.info.name, kMaxNameBytes)),
                  "data_offsets: wanted {} as its begin, got {}, which leaves {}", at, placed.begin,
                  placed.begin > at ? "a hole" : "an overlap");
    }
    at = placed.end;
  }
  if (at != data_bytes) input_error(file, "size: wanted {} bytes of data, got {}", at, data_bytes);
}

}  // namespace

int64_t bits_of(StDType type) { return entry_of(type).bits; }
const char* name_of(StDType type) { return entry_of(type).name; }

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> bytes, std::string_view name) {
  const std::string_view text = header_of(bytes, name);
  const Json header = parse_json(text, fmt::format("{}: header", name), kMaxHeaderBytes);
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + text.size());
  const int64_t data_bytes = std::ssize(data);
  const int64_t count = std::ssize(header) - (has(header, "__metadata__") ? 1 : 0);
  if (count > kMaxTensors) input_error(name, "header: wanted at most {} tensors, got {}", kMaxTensors, count);

  SafetensorsFile file;
  file.name_ = name;
  std::vector<Placed> placed;
  for (const auto& [key, value] : header.items()) {
    if (key == "__metadata__") {
      file.metadata_ = read_metadata(value, name);
    } else {
      placed.push_back(read_entry(key, value, data_bytes, name));
    }
  }
  std::stable_sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  check_coverage(placed, data_bytes, name);
  for (Placed& p : placed) {
    p.info.bytes = data.subspan(static_cast<size_t>(p.begin), static_cast<size_t>(p.end - p.begin));
    file.index_[p.info.name] = file.tensors_.size();
    file.tensors_.push_back(std::move(p.info));
  }
  return file;
}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  FileBytes bytes = read_bytes(path, kMaxTensorFileBytes);
  SafetensorsFile file = parse({bytes.data.get(), bytes.size}, printable(path.native()));
  file.storage_ = std::move(bytes.data);
  return file;
}

const TensorInfo* SafetensorsFile::find(std::string_view tensor) const {
  const auto found = index_.find(tensor);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace kronbit
