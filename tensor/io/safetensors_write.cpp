#include <algorithm>

#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/text.h"

namespace kronbit {
namespace {

constexpr size_t kAlignment = 64;  // one cache line

StDType stored_type(DType type) {
  return type == DType::F32 ? StDType::F32 : type == DType::BF16 ? StDType::BF16 : StDType::F64;
}

}  // namespace

void SafetensorsWriter::add(std::string name, StDType dtype, std::vector<int64_t> shape,
                            std::span<const std::byte> bytes) {
  KB_CHECK(!name.empty() && std::ssize(name) <= kMaxNameBytes && is_utf8(name) && !has_control_characters(name));
  KB_CHECK(name != "__metadata__" && std::ssize(shape) <= kMaxRank && std::ssize(entries_) < kMaxTensors);
  KB_CHECK_EQ(Shape(shape).count() * bits_of(dtype), std::ssize(bytes) * 8);
  Entry entry{name, dtype, std::move(shape), {bytes.begin(), bytes.end()}};
  const bool added = entries_.emplace(std::move(name), std::move(entry)).second;
  KB_CHECK(added);
}

void SafetensorsWriter::add(std::string name, const Tensor& tensor) {
  const auto* base = [&]() -> const std::byte* {
    switch (tensor.dtype()) {
      case DType::F32:
        return reinterpret_cast<const std::byte*>(tensor.data<float>());
      case DType::BF16:
        return reinterpret_cast<const std::byte*>(tensor.data<bf16>());
      case DType::F64:
        return reinterpret_cast<const std::byte*>(tensor.data<double>());
    }
    return nullptr;
  }();
  const int64_t size = bytes_of(tensor.dtype());
  const auto row_bytes = static_cast<size_t>(tensor.cols() * size);
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.rows()) * row_bytes);
  for (int64_t r = 0; r < tensor.rows() && row_bytes > 0; ++r) {
    std::memcpy(bytes.data() + static_cast<size_t>(r) * row_bytes, base + r * tensor.pitch() * size, row_bytes);
  }
  add(std::move(name), stored_type(tensor.dtype()), tensor.shape().extents(), bytes);
}

void SafetensorsWriter::set_metadata(std::string key, std::string value) {
  metadata_[std::move(key)] = std::move(value);
}

std::vector<const SafetensorsWriter::Entry*> SafetensorsWriter::ordered() const {
  std::vector<const Entry*> entries;
  for (const auto& [name, entry] : entries_) entries.push_back(&entry);
  std::stable_sort(entries.begin(), entries.end(), [](const Entry* a, const Entry* b) { return a->dtype < b->dtype; });
  return entries;
}

std::string SafetensorsWriter::header() const {
  Json json = Json::object();
  auto& members = json.get_ref<Json::object_t&>();  // appended to directly: names are unique already
  members.emplace_back("__metadata__", metadata_);
  size_t at = 0;
  for (const Entry* entry : ordered()) {
    const size_t end = at + entry->bytes.size();
    members.emplace_back(entry->name,
                         Json{{"dtype", name_of(entry->dtype)}, {"shape", entry->shape}, {"data_offsets", {at, end}}});
    at = end;
  }
  std::string text = dump_line(json);
  uint64_t length = text.size();
  length += (kAlignment - (sizeof(length) + length) % kAlignment) % kAlignment;
  KB_CHECK(length <= static_cast<uint64_t>(kMaxHeaderBytes));
  text.resize(length, ' ');
  text.insert(0, reinterpret_cast<const char*>(&length), sizeof(length));
  return text;
}

std::vector<std::byte> SafetensorsWriter::bytes() const {
  const std::string head = header();
  const auto head_bytes = std::as_bytes(std::span(head));
  std::vector<std::byte> file(head_bytes.begin(), head_bytes.end());
  for (const Entry* entry : ordered()) file.insert(file.end(), entry->bytes.begin(), entry->bytes.end());
  return file;
}

void SafetensorsWriter::publish(const std::filesystem::path& path) const {
  const std::string head = header();
  std::vector<std::span<const std::byte>> parts{std::as_bytes(std::span(head))};
  for (const Entry* entry : ordered()) parts.emplace_back(entry->bytes);
  kronbit::publish(path, parts);
}

}  // namespace kronbit
