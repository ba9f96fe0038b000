// CIFAR-10 and CIFAR-100 in their binary version.
#include <algorithm>
#include <array>

#include "data/folder_io.h"
#include "data/formats.h"
#include "tensor/base/error.h"
#include "tensor/io/file.h"
#include "tensor/parallel.h"

namespace kronbit::data {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kSide = 32, kPixels = kSide * kSide;
constexpr int64_t kMaxFileBytes = int64_t{1} << 30;

/// What tells CIFAR-10 from CIFAR-100.
struct Variant {
  std::string_view name, folder, archive;
  std::array<int, 2> labels;  ///< how many values the label bytes before the pixels may take; 0: no such byte
  std::string_view names_file;
  std::string_view first_file, other_name, python_file;  ///< our first file; the other variant and its sign; Python's

  int64_t label_bytes() const { return labels[0] == 0 ? 1 : 2; }
  int64_t record_bytes() const { return label_bytes() + 3 * kPixels; }
  int classes() const { return labels[1]; }
};

constexpr Variant kTen{"CIFAR-10", "cifar-10-batches-bin", "cifar-10-binary.tar.gz",
                       {0, 10},    "batches.meta.txt",     "data_batch_1.bin",
                       "cifar100", "data_batch_1"};
constexpr Variant kHundred{"CIFAR-100",
                           "cifar-100-binary",
                           "cifar-100-binary.tar.gz",
                           {20, 100},
                           "fine_label_names.txt",
                           "train.bin",
                           "cifar10",
                           "train"};

/// Says what lies in the folder instead of the binary version, where that can be told.
void check_folder(const fs::path& folder, const Variant& variant) {
  std::error_code ignored;
  const std::string where = folder.native();
  const auto has = [&](std::string_view name) { return fs::exists(folder / name, ignored); };
  if (!fs::exists(folder, ignored))
    input_error(where, "wanted the folder of the {} binary version, got nothing", variant.name);
  if (!fs::is_directory(folder, ignored)) {
    input_error(where, "wanted the folder that {} unpacks to (tar -xzf), got a file", variant.archive);
  }
  if (has(variant.first_file)) return;
  const Variant& other = &variant == &kTen ? kHundred : kTen;
  if (has(other.first_file)) {
    input_error(where, "wanted {}, got {}: use {}:DIR", variant.name, other.name, variant.other_name);
  }
  if (has(variant.folder))
    input_error(where, "wanted the folder with {}: use its subfolder {}", variant.first_file, variant.folder);
  if (has(variant.python_file)) {
    input_error(where, "wanted the binary version, got the Python one: unpack {} instead", variant.archive);
  }
  if (has(variant.archive)) input_error(where, "{} is still packed: unpack it with tar -xzf", variant.archive);
}

/// Appends the records of one file to `source`.
void read_records(const fs::path& path, const Variant& variant, MemorySource& source) {
  const std::vector<std::byte> bytes = read_file(path, kMaxFileBytes);
  const int64_t size = std::ssize(bytes), record = variant.record_bytes();
  const Variant& other = &variant == &kTen ? kHundred : kTen;
  if (size == 0 || size % record != 0) {
    const bool is_other = size > 0 && size % other.record_bytes() == 0;
    input_error(path.native(), "wanted records of {} bytes, got {} bytes{}{}", record, size,
                is_other ? ": these are records of " : "", is_other ? other.name : "");
  }
  const int64_t first = source.size(), count = size / record;
  source.labels.resize(static_cast<size_t>(first + count));
  source.pixels.resize(static_cast<size_t>((first + count) * source.image_bytes()));
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  parallel_for(count, 1000, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const uint8_t* from = data + r * record + variant.label_bytes();
      for (int k = 2 - static_cast<int>(variant.label_bytes()); k < 2; ++k) {
        const int label = from[k - 2], values = variant.labels[static_cast<size_t>(k)];
        if (label >= values) {
          input_error(path.native(), "record {}: wanted a label of at most {}, got {}", r, values - 1, label);
        }
      }
      source.labels[static_cast<size_t>(first + r)] = from[-1];
      planes_to_rgb(from, kPixels, source.image(first + r));
    }
  });
}

std::vector<std::string> class_names(const fs::path& folder, const Variant& variant) {
  const fs::path path = folder / variant.names_file;
  std::vector<std::string> names;
  if (fs::exists(path)) {
    names = read_names(path);
    if (std::ssize(names) != variant.classes()) {
      input_error(path.native(), "wanted {} class names, got {}", variant.classes(), names.size());
    }
    for (const std::string& name : names) check_name(name, path);
  } else {
    for (int k = 0; k < variant.classes(); ++k) names.push_back(fmt::format("class {}", k));
  }
  return names;
}

Sources open_variant(const fs::path& folder, const Variant& variant, const std::vector<std::string>& train_files,
                     const std::string& test_file) {
  check_folder(folder, variant);
  const std::vector<std::string> names = class_names(folder, variant);
  const auto read = [&](const std::vector<std::string>& files) {
    auto source = std::make_shared<MemorySource>();
    source->height = source->width = kSide;
    source->class_names = names;
    for (const std::string& file : files) read_records(folder / file, variant, *source);
    return source;
  };
  return {read(train_files), read({test_file})};
}

}  // namespace

void planes_to_rgb(const uint8_t* planes, int64_t pixels, uint8_t* rgb) {
  for (int64_t p = 0; p < pixels; ++p) {
    for (int64_t c = 0; c < 3; ++c) rgb[p * 3 + c] = planes[c * pixels + p];
  }
}

Sources open_cifar10(const fs::path& folder) {
  return open_variant(
      folder, kTen,
      {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
      "test_batch.bin");
}

Sources open_cifar100(const fs::path& folder) { return open_variant(folder, kHundred, {"train.bin"}, "test.bin"); }

}  // namespace kronbit::data
