// Folders of pictures, right and wrong.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "data/loader.h"
#include "data/open.h"
#include "tests/data/files.h"
#include "tests/tensor/keep_threads.h"

namespace kronbit::data {
namespace {

Image plain(int64_t height, int64_t width, uint8_t value) {
  return {height, width, std::vector<uint8_t>(static_cast<size_t>(height * width * 3), value)};
}

class Folder : public testing::Test {
 protected:
  Folder() {
    folder.write("train/b/2.png", png(plain(40, 30, 50)));
    folder.write("train/b/10.PNG", png(plain(20, 50, 60)));
    folder.write("train/B/1.jpeg", grey_jpeg());
    folder.write("train/a c/1.png", png(plain(1, 1, 80)));
    folder.write("train/.DS_Store", "hidden");
    folder.write("train/b/.hidden", "hidden");
    folder.write("train/readme.txt", "left alone");
    folder.write("val/b/1.png", png(plain(16, 16, 90)));
    folder.write("val/B/1.png", png(plain(16, 16, 91)));
  }
  Splits open_it() const {
    return open("folder:" + folder.path().native(), {.validation = "test:1", .image_size = 16});
  }
  TemporaryFolder folder;
};

TEST_F(Folder, ReadsPicturesInBytewiseOrder) {
  const Splits splits = open_it();
  EXPECT_EQ(splits.train.class_names(), (std::vector<std::string>{"B", "a c", "b"}));
  ASSERT_EQ(splits.train.size(), 4);
  EXPECT_EQ(splits.test.size(), 1);
  EXPECT_EQ(splits.train.height(), 16);
  EXPECT_EQ(splits.normalization, kImageNet);
  const std::vector<std::pair<int, int>> expected{{0, 168}, {1, 80}, {2, 60}, {2, 50}};  // label, grey
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(splits.train.label(i), expected[static_cast<size_t>(i)].first);
    for (uint8_t value : pixels_of(splits.train, i)) ASSERT_NEAR(value, expected[static_cast<size_t>(i)].second, 1);
  }
}

TEST_F(Folder, AugmentsByRandomPartsAndFlips) {
  Image image = plain(64, 48, 0);  // red tells the column, green the row
  for (int64_t y = 0; y < 64; ++y) {
    for (int64_t x = 0; x < 48; ++x) {
      image.rgb[static_cast<size_t>((y * 48 + x) * 3)] = static_cast<uint8_t>(5 * x);
      image.rgb[static_cast<size_t>((y * 48 + x) * 3 + 1)] = static_cast<uint8_t>(3 * y);
    }
  }
  folder.write("train/B/1.jpeg", png(image));
  const Splits splits = open_it();
  int flipped = 0;
  std::vector<uint8_t> rgb(16 * 16 * 3);
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Rng rng(seed, Purpose::Test);
    splits.train.source().read_augmented(0, rng, rgb.data());
    const int across = rgb[15 * 3] - rgb[0], down = rgb[15 * 16 * 3 + 1] - rgb[1];
    flipped += across < 0;
    EXPECT_GT(down, 0);
    // Area and shape of the part: the steps between 16 columns and rows tell its width and height.
    const double w = std::abs(across) / 5.0 * 16 / 15, h = down / 3.0 * 16 / 15;
    EXPECT_GT(w * h, 0.08 * 64 * 48 * 0.7);
    EXPECT_LT(w / h, 4.0 / 3 * 1.15);
    EXPECT_GT(w / h, 3.0 / 4 / 1.15);
  }
  EXPECT_GT(flipped, 25);
  EXPECT_LT(flipped, 75);
}

TEST_F(Folder, LoadsBatchesOnAnyNumberOfThreads) {
  const KeepThreads keep;
  const Splits splits = open_it();
  std::vector<std::vector<float>> seen;
  for (int n : {1, 3}) {
    set_threads(n);
    Loader loader(splits.train, splits.normalization, {.batch_size = 4, .training = true});
    seen.push_back(loader.batch(2, 0).images.values());
  }
  EXPECT_EQ(seen[0], seen[1]);
}

TEST_F(Folder, NamesABadPictureWhenItIsReached) {
  folder.write("train/b/2.png", "GIF89a");
  const Splits splits = open_it();
  Loader loader(splits.train, splits.normalization, {.batch_size = 2});
  EXPECT_NO_THROW(loader.batch(0, 0));
  EXPECT_INPUT_ERROR(loader.batch(0, 1), "train/b/2.png", "JPEG or PNG");
}

TEST_F(Folder, ChecksPicturesWithoutDecodingThem) {
  EXPECT_THAT(open_it().train.damaged(), testing::IsEmpty());
  const std::string whole = png(plain(40, 30, 50));
  folder.write("train/b/2.png", whole.substr(0, whole.size() - 20));
  folder.write("train/B/1.jpeg", "");
  const Splits splits = open_it();
  std::filesystem::remove(folder.path() / "train/a c/1.png");
  const KeepThreads keep;
  for (const int n : {1, 3}) {
    set_threads(n);
    const std::vector<Damage> damaged = splits.train.damaged();
    ASSERT_EQ(damaged.size(), 3u);
    EXPECT_EQ(damaged[0].name, "train/B/1.jpeg");
    EXPECT_THAT(damaged[0].what, testing::HasSubstr("train/B/1.jpeg] wanted a JPEG or PNG picture, got an empty file"));
    EXPECT_EQ(damaged[1].name, "train/a c/1.png");
    EXPECT_EQ(damaged[2].name, "train/b/2.png");
    EXPECT_THAT(damaged[2].what, testing::HasSubstr("train/b/2.png] the picture is truncated"));
  }
  const std::atomic<bool> stop = true;
  EXPECT_THROW(splits.train.damaged(&stop), Error);
}

TEST_F(Folder, LeavesPicturesOut) {
  OpenOptions options{.validation = "test:1", .image_size = 16};
  const auto open_with = [&] { return open("folder:" + folder.path().native(), options); };
  const std::string all = open_with().fingerprint;
  options.leave_out = {"train/b/10.PNG", "train/gone/7.png"};
  const Splits splits = open_with();
  EXPECT_EQ(splits.left_out, options.leave_out);
  ASSERT_EQ(splits.train.size(), 3);
  EXPECT_EQ(splits.train.source().name(2), "train/b/2.png");
  EXPECT_EQ(splits.train.label(2), 2);
  EXPECT_EQ(pixels_of(splits.train, 2)[0], 50);
  EXPECT_NE(splits.fingerprint, all);
  std::filesystem::remove(folder.path() / "train/b/10.PNG");
  EXPECT_EQ(open_with().fingerprint, splits.fingerprint);
  options.leave_out = {"train/b/2.png"};
  EXPECT_INPUT_ERROR(open_with(), "train/b", "wanted at least one picture, got none but 1 that are left out");
}

TEST_F(Folder, ADamagedPictureSaysWhichItIs) {
  folder.write("train/b/2.png", "GIF89a");
  const Splits splits = open_it();
  folder.write("train/b/2.png", "GIF89a, longer than it was");
  std::vector<uint8_t> rgb(16 * 16 * 3);
  try {
    splits.train.source().read(3, rgb.data());
    FAIL() << "it was read";
  } catch (const DamagedImage& e) {
    EXPECT_EQ(e.name(), "train/b/2.png");
    EXPECT_EQ(e.bytes(), 6u);
  }
}

TEST_F(Folder, ASizeMayStandForThatOfARepairedPicture) {
  folder.write("train/b/2.png", "GIF89a");
  const std::string before = open_it().fingerprint;
  folder.write("train/b/2.png", png(plain(40, 30, 50)));
  OpenOptions options{.validation = "test:1", .image_size = 16};
  EXPECT_NE(open("folder:" + folder.path().native(), options).fingerprint, before);
  options.sizes = {{"train/b/2.png", 6}};
  EXPECT_EQ(open("folder:" + folder.path().native(), options).fingerprint, before);
}

TEST_F(Folder, FingerprintFollowsNamesAndSizes) {
  const std::string before = open_it().fingerprint;
  EXPECT_EQ(open_it().fingerprint, before);
  folder.write("train/b/3.png", png(plain(3, 3, 3)));
  EXPECT_NE(open_it().fingerprint, before);
}

TEST_F(Folder, RefusesWrongFolders) {
  EXPECT_INPUT_ERROR(open("folder:/nonexistent"), "/nonexistent/train", "cannot list");
  folder.write("val/new/1.png", png(plain(2, 2, 1)));
  EXPECT_INPUT_ERROR(open_it(), "val/new", "only classes that are in");
  std::filesystem::remove_all(folder.path() / "val");
  EXPECT_INPUT_ERROR(open_it(), "val");
  std::filesystem::create_directory(folder.path() / "val");
  EXPECT_INPUT_ERROR(open_it(), "val", "one folder per class, got none");
  std::filesystem::create_directory(folder.path() / "train/empty");
  EXPECT_INPUT_ERROR(open_it(), "train/empty", "at least one picture");
  folder.write("train/stray.png", png(plain(2, 2, 1)));
  EXPECT_INPUT_ERROR(open_it(), "stray.png", "one folder per class");
}

TEST_F(Folder, RefusesWhatIsNoPictureFile) {
  folder.write("train/b/notes.txt", "text");
  EXPECT_INPUT_ERROR(open_it(), "notes.txt", ".png");
  std::filesystem::rename(folder.path() / "train/b/notes.txt", folder.path() / "notes");
  std::filesystem::create_directory(folder.path() / "train/b/x.png");
  EXPECT_INPUT_ERROR(open_it(), "x.png");
  std::filesystem::remove(folder.path() / "train/b/x.png");
  ASSERT_EQ(::mkfifo((folder.path() / "train/b/x.png").c_str(), 0600), 0);
  EXPECT_INPUT_ERROR(open_it(), "x.png");
  std::filesystem::remove(folder.path() / "train/b/x.png");
  std::filesystem::create_symlink("x.png", folder.path() / "train/b/x.png");
  EXPECT_INPUT_ERROR(open_it(), "x.png");
}

TEST_F(Folder, RefusesImageSizes) {
  for (int64_t size : {0, -1, 4097}) {
    EXPECT_INPUT_ERROR(open("folder:" + folder.path().native(), {.image_size = size}), "image size");
  }
}

}  // namespace
}  // namespace kronbit::data
