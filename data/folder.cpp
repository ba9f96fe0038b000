// Folders of pictures: DIR/train/<class>/* and DIR/val/<class>/*, read when needed.
#include <algorithm>
#include <cctype>
#include <cmath>

#include "data/folder_io.h"
#include "data/formats.h"
#include "data/image.h"
#include "tensor/base/error.h"
#include "tensor/io/crc32.h"
#include "tensor/io/file.h"
#include "tensor/io/limits.h"

namespace kronbit::data {
namespace fs = std::filesystem;
namespace {

class FolderSource final : public ImageSource {
 public:
  void read(int64_t index, uint8_t* rgb) const override { put(fit(load(index), height, width), false, rgb); }

  void read_augmented(int64_t index, Rng& rng, uint8_t* rgb) const override {
    const Image image = load(index);
    const Image part = random_part(image, rng);
    put(resize(part, height, width), rng.below(2) == 1, rgb);
  }

  bool decodes() const override { return true; }

  std::string name(int64_t index) const override {
    return root.filename().native() + "/" + files[static_cast<size_t>(index)];
  }

  void check(int64_t index) const override { decode(index, &check_image); }

  uint32_t checksum() const override {
    uint32_t sum = 0;
    for (size_t i = 0; i < files.size(); ++i) {
      sum = crc32(fmt::format("{}\n{}\n{}\n", files[i], sizes[i], labels[i]), sum);
    }
    return sum;
  }

  fs::path root;
  std::vector<std::string> files;  ///< "class/picture.jpg", below root
  std::vector<uint64_t> sizes;     ///< bytes

 private:
  fs::path path_of(int64_t index) const { return root / files[static_cast<size_t>(index)]; }
  Image load(int64_t index) const { return decode(index, &decode_image); }

  /// What `decoder` makes of the file. A file that cannot be read is no damaged picture: it may be whole.
  template <typename Result>
  Result decode(int64_t index, Result (*decoder)(std::span<const std::byte>, const std::string&)) const {
    const fs::path path = path_of(index);
    const auto bytes = read_file(path, kMaxPictureBytes);
    try {
      return decoder(bytes, path.native());
    } catch (const InputError& e) {
      throw DamagedImage(e.what(), name(index), sizes[static_cast<size_t>(index)]);
    }
  }

  /// 8 to 100 % of the area, 3:4 to 4:3 wide; the largest centred square when ten draws do not fit.
  static Image random_part(const Image& image, Rng& rng) {
    const double area = static_cast<double>(image.height * image.width);
    for (int attempt = 0; attempt < 10; ++attempt) {
      const double part = area * rng.uniform(0.08, 1);
      const double shape = std::exp(rng.uniform(std::log(3.0 / 4), std::log(4.0 / 3)));
      const int64_t w = std::llround(std::sqrt(part * shape)), h = std::llround(std::sqrt(part / shape));
      if (w < 1 || h < 1 || w > image.width || h > image.height) continue;
      const auto top = static_cast<int64_t>(rng.below(static_cast<uint64_t>(image.height - h + 1)));
      const auto left = static_cast<int64_t>(rng.below(static_cast<uint64_t>(image.width - w + 1)));
      return crop(image, top, left, h, w);
    }
    const int64_t side = std::min(image.height, image.width);
    return crop(image, (image.height - side) / 2, (image.width - side) / 2, side, side);
  }

  static void put(const Image& image, bool flip, uint8_t* rgb) {
    for (int64_t y = 0; y < image.height; ++y) {
      for (int64_t x = 0; x < image.width; ++x, rgb += 3) {
        const int64_t from = flip ? image.width - 1 - x : x;
        std::copy_n(image.rgb.data() + (y * image.width + from) * 3, 3, rgb);
      }
    }
  }
};

bool is_picture_name(const std::string& name) {
  std::string ending = fs::path(name).extension().native();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

/// Subfolders of DIR/train or DIR/val. Other files beside them are left alone, unless they are pictures.
std::vector<std::string> class_folders(const fs::path& split) {
  std::vector<std::string> classes;
  for (const std::string& name : list_folder(split)) {
    if (fs::is_directory(split / name)) {
      check_name(name, split);
      classes.push_back(name);
    } else if (is_picture_name(name)) {
      input_error((split / name).native(), "wanted pictures in one folder per class, got one beside them");
    }
  }
  if (classes.empty()) input_error(split.native(), "wanted one folder per class, got none");
  if (std::ssize(classes) > kMaxClasses)
    input_error(split.native(), "wanted at most {} classes, got {}", kMaxClasses, classes.size());
  return classes;
}

/// The pictures of class `label`, in bytewise order of their names.
void add_class(FolderSource& source, const std::string& name, int32_t label, const OpenOptions& options) {
  const fs::path folder = source.root / name;
  int64_t left_out = 0;
  for (const std::string& file : list_folder(folder)) {
    const fs::path path = folder / file;
    std::error_code failure;
    const fs::file_status status = fs::status(path, failure);
    if (status.type() != fs::file_type::regular || !is_picture_name(file)) {
      input_error(path.native(), "wanted only .jpg, .jpeg and .png files in a class folder");
    }
    const std::string known_as = fmt::format("{}/{}/{}", source.root.filename().native(), name, file);
    if (std::ranges::binary_search(options.leave_out, known_as)) {
      ++left_out;
      continue;
    }
    const uint64_t size = fs::file_size(path, failure);
    if (failure) input_error(path.native(), "cannot be looked at: {}", failure.message());
    const auto said = options.sizes.find(known_as);
    source.files.push_back(name + "/" + file);
    source.sizes.push_back(said == options.sizes.end() ? size : said->second);
    source.labels.push_back(label);
  }
  if (source.labels.empty() || source.labels.back() != label) {
    input_error(folder.native(), "wanted at least one picture, got none{}",
                left_out > 0 ? fmt::format(" but {} that are left out", left_out) : "");
  }
}

std::shared_ptr<FolderSource> make_source(const fs::path& split, int64_t image_size) {
  auto source = std::make_shared<FolderSource>();
  source->root = split;
  source->height = source->width = image_size;
  return source;
}

}  // namespace

Sources open_folder(const fs::path& folder, const OpenOptions& options) {
  const int64_t image_size = options.image_size;
  if (image_size < 1 || image_size > 4096) input_error("image size", "wanted 1 to 4096, got {}", image_size);
  const auto train = make_source(folder / "train", image_size), test = make_source(folder / "val", image_size);
  train->class_names = test->class_names = class_folders(train->root);
  const std::vector<std::string>& names = train->class_names;
  for (size_t k = 0; k < names.size(); ++k) add_class(*train, names[k], static_cast<int32_t>(k), options);
  for (const std::string& name : class_folders(test->root)) {
    const auto found = std::lower_bound(names.begin(), names.end(), name);
    if (found == names.end() || *found != name) {
      input_error((test->root / name).native(), "wanted only classes that are in {}, got another",
                  train->root.native());
    }
    add_class(*test, name, static_cast<int32_t>(found - names.begin()), options);
  }
  return {train, test};
}

}  // namespace kronbit::data
