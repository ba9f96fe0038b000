// Splits and batches.
#include "data/loader.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>

#include "data/open.h"
#include "tests/data/files.h"
#include "tests/tensor/keep_threads.h"

namespace kronbit::data {
namespace {

/// `count` images of height x width with random pixels; the label of image i is i % 7.
std::shared_ptr<MemorySource> random_source(int64_t count, int64_t height, int64_t width) {
  auto source = std::make_shared<MemorySource>();
  source->height = height;
  source->width = width;
  for (int k = 0; k < 7; ++k) source->class_names.push_back(fmt::format("class {}", k));
  Rng rng(5, Purpose::Test);
  for (int64_t i = 0; i < count; ++i) source->labels.push_back(static_cast<int32_t>(i % 7));
  source->pixels.resize(static_cast<size_t>(count * height * width * 3));
  for (uint8_t& value : source->pixels) value = static_cast<uint8_t>(rng.below(256));
  return source;
}

constexpr Normalization kPlain{{0, 0, 0}, {1.0f / 255, 1.0f / 255, 1.0f / 255}};  // gives back the pixel values

TEST(LoaderTest, EvaluationShowsEveryImageInOrder) {
  const auto source = random_source(10, 5, 6);
  Loader loader(Dataset(source), kPlain, {.batch_size = 4});
  ASSERT_EQ(loader.batches(), 3);
  for (int64_t b = 0; b < 3; ++b) {
    const Batch batch = loader.batch(0, b);
    ASSERT_EQ(batch.images.shape(), (Shape{5, 6, b < 2 ? 4 : 2, 3}));
    for (int64_t n = 0; n < batch.images.images(); ++n) {
      const int64_t i = b * 4 + n;
      EXPECT_EQ(batch.labels[static_cast<size_t>(n)], i % 7);
      for (int64_t p = 0; p < 30; ++p) {
        const float* row = batch.images.row<float>(p * batch.images.images() + n);
        for (int64_t c = 0; c < 3; ++c) {
          ASSERT_NEAR(row[c], source->pixels[static_cast<size_t>((i * 30 + p) * 3 + c)], 1e-4);
        }
        for (int64_t c = 3; c < batch.images.pitch(); ++c) ASSERT_EQ(row[c], 0.0f) << "padding lane " << c;
      }
    }
  }
}

/// Counts what is read of another source.
class CountingSource final : public ImageSource {
 public:
  explicit CountingSource(const ImageSource& other) : other_(other) {
    height = other.height;
    width = other.width;
    class_names = other.class_names;
    labels = other.labels;
  }
  void read(int64_t index, uint8_t* rgb) const override {
    ++reads;
    other_.read(index, rgb);
  }
  void read_augmented(int64_t index, Rng& rng, uint8_t* rgb) const override { other_.read_augmented(index, rng, rgb); }
  uint32_t checksum() const override { return other_.checksum(); }
  mutable std::atomic<int> reads = 0;

 private:
  const ImageSource& other_;
};

TEST(LoaderTest, EvaluationReadsEveryImageOnce) {
  const auto images = random_source(10, 5, 6);
  const auto source = std::make_shared<CountingSource>(*images);
  {
    Loader loader(Dataset(source), kPlain, {.batch_size = 4});
    for (int64_t b = 0; b < 3; ++b) loader.batch(0, b);
  }
  EXPECT_EQ(source->reads, 10);
}

TEST(LoaderTest, TrainingShowsEveryImageOnceInANewOrder) {
  Loader loader(Dataset(random_source(20, 2, 2)), kPlain, {.batch_size = 5, .training = true});
  std::vector<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<int64_t> order;
    for (int64_t b = 0; b < loader.batches(); ++b) {
      const Picks picks = loader.picks(epoch, b);
      EXPECT_EQ(loader.batch(epoch, b).labels, picks.labels);
      order.insert(order.end(), picks.images.begin(), picks.images.end());
    }
    orders.push_back(order);
  }
  EXPECT_NE(orders[0], orders[1]);
  std::vector<int64_t> expected;
  for (int64_t i = 0; i < 20; ++i) expected.push_back(i);
  for (auto& order : orders) {
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, expected);
  }
}

TEST(LoaderTest, TrainingDropsAShortLastBatchUnlessItIsTheOnlyOne) {
  const Dataset ten(random_source(10, 2, 2));
  EXPECT_EQ(Loader(ten, kPlain, {.batch_size = 4, .training = true}).batches(), 2);
  EXPECT_EQ(Loader(ten, kPlain, {.batch_size = 4}).batches(), 3);
  Loader only(ten, kPlain, {.batch_size = 100, .training = true});
  EXPECT_EQ(only.batches(), 1);
  EXPECT_EQ(only.batch(0, 0).labels.size(), 10u);
}

TEST(LoaderTest, ABatchIsAFunctionOfSeedEpochAndIndex) {
  const KeepThreads keep;
  const Dataset dataset(random_source(600, 8, 8));
  const LoaderOptions options{.batch_size = 290, .seed = 3, .training = true};
  std::vector<std::vector<float>> expected;
  std::vector<std::vector<int>> labels;
  Loader ordered(dataset, kPlain, options);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    for (int64_t b = 0; b < 2; ++b) {
      const Batch batch = ordered.batch(epoch, b);
      expected.push_back(batch.images.values());
      labels.push_back(batch.labels);
    }
  }
  for (int n : {1, 2, 3}) {
    set_threads(n);
    Loader any(dataset, kPlain, options);
    for (const size_t k : {3u, 0u, 5u, 5u, 1u, 2u, 4u}) {
      const Batch batch = any.batch(static_cast<int64_t>(k / 2), static_cast<int64_t>(k % 2));
      EXPECT_EQ(batch.images.values(), expected[k]);
      EXPECT_EQ(batch.labels, labels[k]);
    }
  }
  Loader other(dataset, kPlain, {.batch_size = 290, .seed = 4, .training = true});
  EXPECT_NE(other.batch(0, 0).labels, labels[0]);
}

/// The image with 4 black pixels around it, cut out at (top, left), then mirrored.
std::vector<uint8_t> plain_augmentation(const MemorySource& source, int64_t top, int64_t left, bool flip) {
  const int64_t h = source.height, w = source.width;
  std::vector<uint8_t> padded(static_cast<size_t>((h + 8) * (w + 8) * 3)), result;
  for (int64_t y = 0; y < h; ++y) {
    std::copy_n(source.pixels.begin() + y * w * 3, w * 3, padded.begin() + ((y + 4) * (w + 8) + 4) * 3);
  }
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) {
      const int64_t column = left + (flip ? w - 1 - x : x);
      for (int64_t c = 0; c < 3; ++c)
        result.push_back(padded[static_cast<size_t>(((top + y) * (w + 8) + column) * 3 + c)]);
    }
  }
  return result;
}

TEST(LoaderTest, AugmentationIsPadCropFlip) {
  const auto source = random_source(1, 6, 9);
  std::set<std::vector<uint8_t>> possible;
  for (int64_t top = 0; top <= 8; ++top) {
    for (int64_t left = 0; left <= 8; ++left) {
      for (bool flip : {false, true}) possible.insert(plain_augmentation(*source, top, left, flip));
    }
  }
  ASSERT_EQ(possible.size(), 162u);
  std::set<std::vector<uint8_t>> seen;
  std::vector<uint8_t> rgb(6 * 9 * 3);
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Rng rng(seed, Purpose::Test);
    source->read_augmented(0, rng, rgb.data());
    seen.insert(rgb);
  }
  EXPECT_EQ(seen, possible);
}

TEST(LoaderTest, RefusesNothingToLoad) {
  const auto source = random_source(3, 2, 2);
  EXPECT_INPUT_ERROR(Loader(Dataset(source, {}), kPlain, {}), "at least one image");
  EXPECT_INPUT_ERROR(Loader(Dataset(source), kPlain, {.batch_size = 0}), "batch size");
}

class Validation : public testing::Test {
 protected:
  Validation() { write_cifar10(folder, 40, 20); }
  Splits open_with(const std::string& validation, uint64_t seed = 1) const {
    return open("cifar10:" + folder.path().native(), {.validation = validation, .seed = seed});
  }
  TemporaryFolder folder;
};

TEST_F(Validation, HoldsOutOfTheTrainingSplit) {
  const Splits splits = open_with("train:15");
  EXPECT_EQ(splits.validation.size(), 15);
  EXPECT_EQ(splits.train.size(), 25);
  EXPECT_EQ(splits.test.size(), 20);
  std::set<int64_t> all(splits.train.chosen().begin(), splits.train.chosen().end());
  all.insert(splits.validation.chosen().begin(), splits.validation.chosen().end());
  EXPECT_EQ(all.size(), 40u);
  EXPECT_EQ(open_with("train:15").validation.chosen(), splits.validation.chosen());
  EXPECT_NE(open_with("train:15", 2).validation.chosen(), splits.validation.chosen());
}

TEST_F(Validation, DividesTheTestSplit) {
  const Splits splits = open_with("test:12");
  EXPECT_EQ(splits.train.size(), 40);
  EXPECT_EQ(splits.validation.size(), 12);
  EXPECT_EQ(splits.test.size(), 8);
  EXPECT_EQ(&splits.validation.source(), &splits.test.source());
  std::set<int64_t> all(splits.test.chosen().begin(), splits.test.chosen().end());
  all.insert(splits.validation.chosen().begin(), splits.validation.chosen().end());
  EXPECT_EQ(all.size(), 20u);
}

TEST_F(Validation, DefaultTakesAFifthOfSmallSets) {
  const Splits splits = open_with(OpenOptions{}.validation);
  EXPECT_EQ(splits.validation.size(), 8);
  EXPECT_NE(splits.description.find("32 train, 8 validation (train:8)"), std::string::npos) << splits.description;
}

TEST_F(Validation, ANumberIsTakenAtItsWord) {
  EXPECT_INPUT_ERROR(open_with("train:5000"), "train:5000: wanted fewer than the 40 images of the training split");
  EXPECT_EQ(open("synthetic:7000", {.validation = "train:5000"}).validation.size(), 5000);
  EXPECT_EQ(open("synthetic:7000").validation.size(), 1120);
}

TEST_F(Validation, RefusesOtherNumbers) {
  for (const char* text : {"train", "train:", "val:5", "train:0", "train:-1", "train:1.5", "train:40", "test:20",
                           "test:5000", "train:99999999999999999999", "train:5 "}) {
    EXPECT_INPUT_ERROR(open_with(text), "validation");
  }
}

TEST_F(Validation, FingerprintTellsDataAndSplitsApart) {
  const std::string one = open_with("train:15").fingerprint;
  EXPECT_EQ(one.size(), std::string("crc32:01234567").size());
  EXPECT_EQ(open_with("train:15").fingerprint, one);
  EXPECT_NE(open_with("train:15", 2).fingerprint, one);
  EXPECT_NE(open_with("train:14").fingerprint, one);
  EXPECT_NE(open_with("test:15").fingerprint, one);
  const std::string spec = "cifar10:" + folder.path().native();
  EXPECT_NE(open(spec, {.validation = "train:15", .normalization = kImageNet}).fingerprint, one);
  folder.write("data_batch_1.bin", cifar_record({9}, 1));
  EXPECT_NE(open_with("train:15").fingerprint, one);
}

TEST(DatasetTest, SubsetsCompose) {
  const Dataset all(random_source(10, 1, 1));
  const Dataset some = all.subset({9, 3, 5});
  EXPECT_EQ(some.subset({2, 0}).chosen(), (std::vector<int64_t>{5, 9}));
  EXPECT_EQ(some.first(2).chosen(), (std::vector<int64_t>{9, 3}));
  EXPECT_EQ(some.first(99).size(), 3);
  EXPECT_EQ(some.label(1), 3);
}

TEST(DatasetTest, SpreadImagesAreOneOfEachStretch) {
  const Splits splits = open("synthetic:200");
  const auto& all = splits.train.chosen();
  const size_t n = all.size();
  const std::vector<int64_t> four = splits.train.spread(4).chosen();
  EXPECT_EQ(splits.train.spread(4).chosen(), four);
  ASSERT_EQ(four.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(i * n / 4);
    const auto end = all.begin() + static_cast<std::ptrdiff_t>((i + 1) * n / 4);
    EXPECT_EQ(std::count(begin, end, four[i]), 1) << i;
  }
  EXPECT_EQ(splits.train.spread(0).size(), 0);
  EXPECT_EQ(splits.train.spread(splits.train.size()).chosen(), all);
  EXPECT_EQ(splits.train.spread(1000000).chosen(), all);
}

/// Classes take turns in the synthetic data set, as in lists of files that somebody has mixed by hand.
TEST(DatasetTest, SpreadImagesAreOfAllClasses) {
  const Splits whole = open("synthetic"), half = open("synthetic", {.validation = "test:1000"});
  for (const Dataset& all : {whole.test, half.train}) {
    for (int64_t count : {50, 80, 100, 200, 400}) {
      std::map<int, int64_t> images;
      const Dataset some = all.spread(count);
      for (int64_t i = 0; i < count; ++i) ++images[some.label(i)];
      EXPECT_EQ(images.size(), 10u) << count;
      for (const auto& [label, n] : images) EXPECT_LE(n, count / 5) << count << " images, class " << label;
    }
  }
}

TEST(OpenTest, RefusesUnknownFormats) {
  for (const char* spec : {"", "cifar10", "cifar10:", "mnist:DIR", ":DIR", "synthetic:1", "/data/cifar"}) {
    EXPECT_INPUT_ERROR(open(spec), "[data]");
  }
}

}  // namespace
}  // namespace kronbit::data
