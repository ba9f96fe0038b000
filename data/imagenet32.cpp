// ImageNet downsampled to 32 x 32 (Chrabaszcz et al. 2017), or any part of it, as .npz archives.
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "data/folder_io.h"
#include "data/formats.h"
#include "data/npz.h"
#include "tensor/base/error.h"
#include "tensor/io/limits.h"
#include "tensor/parallel.h"

namespace kronbit::data {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kSide = 32, kPixels = kSide * kSide;

/// train_data_batch_1.npz, train_data_batch_2.npz, ... as far as they go.
std::vector<fs::path> train_files(const fs::path& folder) {
  const std::vector<std::string> names = list_folder(folder);
  const auto is_batch = [](const std::string& name) {
    return name.starts_with("train_data_batch_") && name.ends_with(".npz");
  };
  const int64_t count = std::count_if(names.begin(), names.end(), is_batch);
  if (count == 0) input_error(folder.native(), "wanted train_data_batch_1.npz and so on, got none");
  std::vector<fs::path> paths;
  for (int64_t k = 1; k <= count; ++k) {
    const std::string name = fmt::format("train_data_batch_{}.npz", k);
    if (!std::binary_search(names.begin(), names.end(), name)) {
      input_error(folder.native(), "wanted train_data_batch_1 to {}.npz, {} is missing", count, name);
    }
    paths.push_back(folder / name);
  }
  return paths;
}

/// Labels of one archive, counted from 0. Its number of images is their number.
std::vector<int32_t> read_labels(const fs::path& path, int64_t classes) {
  NpzArray array(path, "labels", "<i8", 1);
  std::vector<int64_t> values(static_cast<size_t>(array.shape()[0]));
  array.read(std::as_writable_bytes(std::span(values)));
  array.finish();
  std::vector<int32_t> labels(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 1 || values[i] > classes) {
      input_error(path.native(), "label of image {}: wanted 1 to {}, got {}", i, classes, values[i]);
    }
    labels[i] = static_cast<int32_t>(values[i] - 1);
  }
  return labels;
}

/// Images of one archive to source.image(first), ...
void read_images(const fs::path& path, int64_t first, int64_t count, MemorySource& source) {
  NpzArray array(path, "data", "|u1", 2);
  if (array.shape() != std::vector<int64_t>{count, 3 * kPixels}) {
    input_error(path.native() + ": data", "wanted [{}, {}] as there are {} labels, got [{}]", count, 3 * kPixels, count,
                fmt::join(array.shape(), ", "));
  }
  std::vector<uint8_t> planes(static_cast<size_t>(3 * kPixels));
  for (int64_t i = 0; i < count; ++i) {
    array.read(std::as_writable_bytes(std::span(planes)));
    planes_to_rgb(planes.data(), kPixels, source.image(first + i));
  }
  array.finish();
}

std::shared_ptr<MemorySource> read_archives(const std::vector<fs::path>& paths, int64_t classes) {
  auto source = std::make_shared<MemorySource>();
  source->height = source->width = kSide;
  std::vector<int64_t> starts{0};
  for (const fs::path& path : paths) {
    const std::vector<int32_t> labels = read_labels(path, classes);
    if (labels.empty()) input_error(path.native(), "wanted at least one image, got none");
    source->labels.insert(source->labels.end(), labels.begin(), labels.end());
    starts.push_back(source->size());
    // Before the memory is reserved: the archive does hold so many images.
    if (NpzArray(path, "data", "|u1", 2).shape()[0] != std::ssize(labels)) {
      input_error(path.native(), "wanted as many images as labels ({}), got another number", labels.size());
    }
  }
  source->pixels.resize(static_cast<size_t>(source->size() * source->image_bytes()));
  parallel_for(std::ssize(paths), 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const size_t file = static_cast<size_t>(k);
      read_images(paths[file], starts[file], starts[file + 1] - starts[file], *source);
    }
  });
  return source;
}

/// classes.txt: one line per class, its last field after a tab is the name.
std::vector<std::string> names_from(const fs::path& path) {
  std::vector<std::string> names = read_names(path);
  for (std::string& name : names) {
    name.erase(0, name.rfind('\t') + 1);  // npos + 1 = 0: no tab, the whole line
    check_name(name, path);
  }
  return names;
}

}  // namespace

Sources open_imagenet32(const fs::path& folder) {
  const std::vector<fs::path> train = train_files(folder);
  const fs::path names_file = folder / "classes.txt";
  std::vector<std::string> names;
  if (fs::exists(names_file)) names = names_from(names_file);
  auto images = read_archives(train, names.empty() ? kMaxClasses : std::ssize(names));
  if (names.empty()) {
    const int32_t last = *std::max_element(images->labels.begin(), images->labels.end());
    for (int32_t k = 0; k <= last; ++k) names.push_back(fmt::format("class {}", k + 1));
  }
  auto test = read_archives({folder / "val_data.npz"}, std::ssize(names));
  images->class_names = test->class_names = names;
  return {images, test};
}

}  // namespace kronbit::data
