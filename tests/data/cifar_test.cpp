// CIFAR-10 and CIFAR-100 folders, right and wrong.
#include <sys/stat.h>

#include <numeric>

#include "data/open.h"
#include "tests/data/files.h"

namespace kronbit::data {
namespace {

class Cifar : public testing::Test {
 protected:
  std::string ten() const { return "cifar10:" + folder.path().native(); }
  std::string hundred() const { return "cifar100:" + folder.path().native(); }
  TemporaryFolder folder;
};

TEST_F(Cifar, ReadsRecordsInOrder) {
  write_cifar10(folder, 25, 10);
  folder.write("batches.meta.txt", "a\r\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  const Splits splits = open(ten(), {.validation = "test:3"});
  EXPECT_EQ(splits.train.size(), 25);
  EXPECT_EQ(splits.validation.size() + splits.test.size(), 10);
  EXPECT_EQ(splits.train.class_names()[0], "a");
  EXPECT_EQ(splits.train.classes(), 10);
  EXPECT_EQ(splits.normalization, kCifar10);
  // File 2 starts with image 5 + ... of the writer: images i, i + 5, ... are in file i % 5.
  EXPECT_EQ(splits.train.label(0), 0);
  EXPECT_EQ(splits.train.label(5), 1);
  const std::string record = cifar_record({1}, 1);
  const std::vector<uint8_t> rgb = pixels_of(splits.train, 5);
  for (size_t p = 0; p < 1024; ++p) {
    for (size_t c = 0; c < 3; ++c) ASSERT_EQ(rgb[p * 3 + c], static_cast<uint8_t>(record[1 + c * 1024 + p]));
  }
}

TEST_F(Cifar, ReadsFineLabelsOfCifar100) {
  folder.write("train.bin", cifar_record({3, 42}, 1) + cifar_record({19, 99}, 2));
  folder.write("test.bin", cifar_record({0, 7}, 3));
  const Splits splits = open(hundred(), {.validation = "train:1"});
  EXPECT_EQ(splits.test.label(0), 7);
  EXPECT_EQ(splits.train.classes(), 100);
  EXPECT_EQ(splits.train.label(0) + splits.validation.label(0), 42 + 99);
}

TEST_F(Cifar, RefusesDamagedFiles) {
  write_cifar10(folder, 10, 5);
  folder.write("test_batch.bin", std::string(4000, 'x'));
  EXPECT_INPUT_ERROR(open(ten()), "test_batch.bin", "3073", "4000");
  folder.write("test_batch.bin", "");
  EXPECT_INPUT_ERROR(open(ten()), "test_batch.bin", "got 0 bytes");
  folder.write("test_batch.bin", cifar_record({1}, 1) + cifar_record({10}, 2));
  EXPECT_INPUT_ERROR(open(ten()), "test_batch.bin", "record 1", "at most 9, got 10");
  folder.write("test_batch.bin", cifar_record({3, 42}, 1));
  EXPECT_INPUT_ERROR(open(ten()), "test_batch.bin", "records of CIFAR-100");
  std::filesystem::remove(folder.path() / "data_batch_3.bin");
  EXPECT_INPUT_ERROR(open(ten()), "data_batch_3.bin", "cannot open");
}

TEST_F(Cifar, RefusesBadLabelsOfCifar100) {
  folder.write("train.bin", cifar_record({20, 5}, 1) + cifar_record({1, 1}, 1));
  folder.write("test.bin", cifar_record({1, 1}, 2));
  EXPECT_INPUT_ERROR(open(hundred()), "train.bin", "at most 19, got 20");
  folder.write("train.bin", cifar_record({19, 100}, 1) + cifar_record({1, 1}, 1));
  EXPECT_INPUT_ERROR(open(hundred()), "train.bin", "at most 99, got 100");
}

TEST_F(Cifar, SaysWhatIsThereInstead) {
  EXPECT_INPUT_ERROR(open(ten() + "/nowhere"), "nowhere", "got nothing");
  EXPECT_INPUT_ERROR(open(ten()), "data_batch_1.bin");
  folder.write("data_batch_1", "pickle");
  EXPECT_INPUT_ERROR(open(ten()), "Python", "cifar-10-binary.tar.gz");
  folder.write("train.bin", "");
  EXPECT_INPUT_ERROR(open(ten()), "cifar100:DIR");
  const auto archive = folder.write("cifar-10-binary.tar.gz", "packed");
  EXPECT_INPUT_ERROR(open("cifar10:" + archive.native()), "tar -xzf");
  write_cifar10(folder, 10, 5);
  std::filesystem::remove(folder.path() / "train.bin");
  EXPECT_INPUT_ERROR(open(hundred()), "cifar10:DIR");
  folder.write("up/cifar-10-batches-bin/x", "");
  EXPECT_INPUT_ERROR(open(ten() + "/up"), "subfolder cifar-10-batches-bin");
}

TEST_F(Cifar, RefusesPipesAndFoldersWithoutWaiting) {
  write_cifar10(folder, 10, 5);
  const auto path = folder.path() / "test_batch.bin";
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_INPUT_ERROR(open(ten()), "test_batch.bin", "wanted a regular file");
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_INPUT_ERROR(open(ten()), "test_batch.bin", "wanted a regular file");
}

TEST_F(Cifar, RefusesBadNames) {
  write_cifar10(folder, 10, 5);
  folder.write("batches.meta.txt", "a\nb\n");
  EXPECT_INPUT_ERROR(open(ten()), "batches.meta.txt", "10 class names, got 2");
  folder.write("batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\n\x1b[2J\n");
  EXPECT_INPUT_ERROR(open(ten()), "batches.meta.txt", "control characters");
}

TEST(RealCifar10, HasTheKnownMeans) {
  const auto folder = real_data("cifar-10-batches-bin");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no cifar-10-batches-bin in KRONBIT_DATA or ~/.cache/kronbit";
  const Splits splits = open("cifar10:" + folder.native(), {.validation = "test:5000"});
  ASSERT_EQ(splits.train.size(), 50000);
  EXPECT_EQ(splits.train.class_names()[9], "truck");
  const auto& source = dynamic_cast<const MemorySource&>(splits.train.source());
  std::array<int64_t, 3> sums{};
  for (size_t i = 0; i < source.pixels.size(); ++i) sums[i % 3] += source.pixels[i];
  const double pixels = static_cast<double>(source.pixels.size()) / 3 * 255;
  EXPECT_NEAR(static_cast<double>(sums[0]) / pixels, 0.4914, 5e-5);
  EXPECT_NEAR(static_cast<double>(sums[1]) / pixels, 0.4822, 5e-5);
  EXPECT_NEAR(static_cast<double>(sums[2]) / pixels, 0.4465, 5e-5);
}

}  // namespace
}  // namespace kronbit::data
