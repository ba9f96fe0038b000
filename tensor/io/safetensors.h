// safetensors files: named tensors as raw little-endian bytes behind a JSON header. Read suspiciously, written so that
// every other reader takes them. Source: the format's reference implementation (safetensors, tensor.rs); stricter where
// noted.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace kronbit {

/// Number formats a safetensors file can name.
enum class StDType {
  C64,
  F64,
  I64,
  U64,
  F32,
  I32,
  U32,
  F16,
  BF16,
  I16,
  U16,
  U8,
  I8,
  Bool,
  F8_E4M3,
  F8_E5M2,
  F8_E8M0,
  F8_E4M3FNUZ,
  F8_E5M2FNUZ,
  F6_E2M3,
  F6_E3M2,
  F4
};
int64_t bits_of(StDType type);
const char* name_of(StDType type);  ///< as in the file: "F32"

/// One tensor of a file. The bytes are row-major and belong to the file object (or to who gave the bytes to parse()).
struct TensorInfo {
  std::string name;
  StDType dtype = StDType::F32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

/// A parsed file.
class SafetensorsFile {
 public:
  /// Reads and parses a file. Throws: InputError; a PyTorch pickle or an index of shards is told how to convert.
  static SafetensorsFile open(const std::filesystem::path& path);

  /// Parses `bytes`, which must outlive the result; `name` opens the messages.
  /// Requires, as the reference: 8 bytes header length N, N bytes of JSON object starting with `{`; per tensor dtype,
  /// shape and data_offsets; the offsets, sorted, start at 0, touch each other and end at the end of the file; their
  /// length is that of shape and dtype; `__metadata__` maps strings to strings. Stricter: no duplicate key, N <= 16 MB,
  /// at most 100k tensors, rank <= 8, names of 1..256 bytes without control characters. Throws: InputError "[name] ..."
  /// otherwise.
  static SafetensorsFile parse(std::span<const std::byte> bytes, std::string_view name);

  const std::string& name() const { return name_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }  ///< in the order of their bytes
  const TensorInfo* find(std::string_view tensor) const;               ///< nullptr when there is none

 private:
  std::string name_;
  std::shared_ptr<const std::byte> storage_;  ///< of open() only
  std::map<std::string, std::string> metadata_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
};

/// The tensor's numbers as F32, from F32, F16, BF16 or F64.
/// Throws: InputError "[where] ..." for another format, for NaN, infinities and F64 beyond F32, naming
/// tensor and index.
Tensor to_tensor(const TensorInfo& info, std::string_view where);
std::vector<float> to_floats(const TensorInfo& info, std::string_view where);

/// The tensor's elements unconverted: int32_t for I32, uint16_t for the bits of BF16, and so on.
/// Requires: T as wide as the tensor's format.
template <class T>
std::vector<T> raw_values(const TensorInfo& info) {
  KB_CHECK_EQ(bits_of(info.dtype), static_cast<int64_t>(sizeof(T) * 8));
  if constexpr (sizeof(T) == 1) {  // needs no alignment
    const auto* first = reinterpret_cast<const T*>(info.bytes.data());
    return std::vector<T>(first, first + info.bytes.size());
  }
  std::vector<T> values(info.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), info.bytes.data(), info.bytes.size());
  return values;
}

/// IEEE half precision to float, exactly.
float float_of_f16(uint16_t bits);

/// Collects tensors and writes them as one file. Tensors are ordered by format, widest first and F32 before I32,
/// then by name, and the header is padded with blanks so that the data starts at a multiple of 64: with tensors of
/// whole 64-byte lines every tensor can be mapped aligned.
class SafetensorsWriter {
 public:
  /// Copies `bytes`. Requires: their number is that of shape and dtype; a new name within the reader's limits.
  void add(std::string name, StDType dtype, std::vector<int64_t> shape, std::span<const std::byte> bytes);
  /// The logical numbers of `tensor` (F32, BF16 or F64), without row padding.
  void add(std::string name, const Tensor& tensor);
  /// `format` is "pt" already, which PyTorch-side loaders ask for.
  void set_metadata(std::string key, std::string value);

  std::vector<std::byte> bytes() const;                   ///< the whole file
  void publish(const std::filesystem::path& path) const;  ///< atomically; throws as kronbit::publish

 private:
  struct Entry {
    std::string name;
    StDType dtype;
    std::vector<int64_t> shape;
    std::vector<std::byte> bytes;
  };
  std::string header() const;  ///< with its length in front
  std::vector<const Entry*> ordered() const;
  std::map<std::string, std::string> metadata_ = {{"format", "pt"}};
  std::map<std::string, Entry> entries_;
};

}  // namespace kronbit
