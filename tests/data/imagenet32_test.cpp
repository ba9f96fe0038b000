// ImageNet32 archives, right and wrong; the .npy header reader.
#include "data/npz.h"
#include "data/open.h"
#include "tests/data/files.h"

namespace kronbit::data {
namespace {

class ImageNet32 : public testing::Test {
 protected:
  ImageNet32() { folder.write("val_data.npz", npz({1, 2}, 9)); }
  std::string spec() const { return "imagenet32:" + folder.path().native(); }
  void train(const std::string& bytes) const { folder.write("train_data_batch_1.npz", bytes); }
  void train(const std::vector<ZipMember>& members) const { train(zip_archive(members)); }
  TemporaryFolder folder;
  const std::string good_data = npy_pixels(3, 1), good_labels = npy_labels({1, 2, 3});
};

TEST_F(ImageNet32, ReadsStoredAndDeflatedBatchesInNumericOrder) {
  for (int k = 1; k <= 11; ++k) {
    folder.write(fmt::format("train_data_batch_{}.npz", k), npz({k, 1}, static_cast<uint64_t>(k), k % 2 == 0));
  }
  const Splits splits = open(spec(), {.validation = "test:1"});
  ASSERT_EQ(splits.train.size(), 22);
  EXPECT_EQ(splits.train.classes(), 11);
  for (int k = 0; k < 11; ++k) EXPECT_EQ(splits.train.label(2 * k), k);
  EXPECT_EQ(splits.normalization, kImageNet);
  const std::string member = npy_pixels(2, 10);
  const std::string planes = member.substr(member.size() - 3072);
  const std::vector<uint8_t> rgb = pixels_of(splits.train, 19);
  for (size_t p = 0; p < 1024; ++p) {
    for (size_t c = 0; c < 3; ++c) ASSERT_EQ(rgb[p * 3 + c], static_cast<uint8_t>(planes[c * 1024 + p]));
  }
}

TEST_F(ImageNet32, TakesNamesFromClassesTxt) {
  train(npz({1, 2, 2}, 1));
  folder.write("classes.txt", "1\tn01\tgoldfish, Carassius\n2\tn02\tslug\n");
  EXPECT_EQ(open(spec()).train.class_names(), (std::vector<std::string>{"goldfish, Carassius", "slug"}));
  train(npz({1, 3, 2}, 1));
  EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz", "image 1", "1 to 2, got 3");
}

TEST_F(ImageNet32, IgnoresOtherArrays) {
  train({{"mean.npy", "whatever"}, {"data.npy", good_data, true}, {"labels.npy", good_labels}});
  EXPECT_EQ(open(spec(), {.validation = "train:1"}).train.size(), 2);
}

TEST_F(ImageNet32, RefusesMissingFiles) {
  EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz");
  EXPECT_INPUT_ERROR(open("imagenet32:/nonexistent"), "/nonexistent", "cannot list");
  folder.write("train_data_batch_2.npz", npz({1}, 1));
  EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz is missing");
  train(npz({1}, 1));
  std::filesystem::remove(folder.path() / "val_data.npz");
  EXPECT_INPUT_ERROR(open(spec()), "val_data.npz", "cannot open");
}

TEST_F(ImageNet32, RefusesWhatIsNoArchive) {
  train("");
  EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz", ".npz");
  train("not a zip");
  EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz", ".npz");
  const std::string good = npz({1, 2, 3}, 1);
  train(good.substr(0, good.size() - 30));
  EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz", ".npz");
  train(std::vector<ZipMember>{});
  EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz");
}

TEST_F(ImageNet32, RefusesWrongMembers) {
  train({{"labels.npy", good_labels}});
  EXPECT_INPUT_ERROR(open(spec()), "data", "got none");
  train({{"../data.npy", good_data}, {"labels.npy", good_labels}});
  EXPECT_INPUT_ERROR(open(spec()), "data", "got none");
  train({{"data.npy", good_data}, {"data.npy", good_data}, {"labels.npy", good_labels}});
  EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz");
  train({{.name = "data.npy", .content = good_data, .flags = 1}, {"labels.npy", good_labels}});
  EXPECT_INPUT_ERROR(open(spec()), "data", "encryption");
  train({{.name = "data.npy", .content = good_data, .method = 14}, {"labels.npy", good_labels}});
  EXPECT_INPUT_ERROR(open(spec()), "data", "compression method 14");
}

TEST_F(ImageNet32, RefusesWrongChecksumsAndSizes) {
  for (bool deflate : {false, true}) {
    SCOPED_TRACE(deflate);
    const ZipMember labels{"labels.npy", good_labels};
    train({{.name = "data.npy", .content = good_data, .deflate = deflate, .checksum = 1}, labels});
    EXPECT_INPUT_ERROR(open(spec()), "data", "damaged");
    train({{.name = "data.npy", .content = good_data, .deflate = deflate, .size = 3000}, labels});
    EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz");
    train({{.name = "data.npy", .content = good_data, .deflate = deflate, .size = 0xfffffff0}, labels});
    EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz");
  }
  // A member that goes on after the size it claims, and one that ends before.
  train({{.name = "data.npy",
          .content = good_data + "more",
          .deflate = true,
          .size = static_cast<uint32_t>(good_data.size())},
         {"labels.npy", good_labels}});
  EXPECT_INPUT_ERROR(open(spec()), "data");
  train({{.name = "data.npy",
          .content = good_data.substr(0, 5000),
          .deflate = true,
          .size = static_cast<uint32_t>(good_data.size())},
         {"labels.npy", good_labels}});
  EXPECT_INPUT_ERROR(open(spec()), "data");
}

TEST_F(ImageNet32, RefusesWrongArrays) {
  const auto data = [&](const std::string& member) { train({{"data.npy", member}, {"labels.npy", good_labels}}); };
  const std::string content(3 * 3072, 'x');
  data("short");
  EXPECT_INPUT_ERROR(open(spec()), "data", "ends early");
  data(std::string(200, 'x'));
  EXPECT_INPUT_ERROR(open(spec()), "data", "NumPy");
  data("\x93NUMPY" + std::string("\x01\x00\xff\xff{", 5) + content);
  EXPECT_INPUT_ERROR(open(spec()), "data", "ends early");
  data("\x93NUMPY" + std::string("\x02\x00\xff\xff\xff\xff{", 7) + content);
  EXPECT_INPUT_ERROR(open(spec()), "data", "at most 65536 bytes");
  data(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 3072), }", content));
  EXPECT_INPUT_ERROR(open(spec()), "data", "type |u1", "<f8");
  data(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (3, 3072), }", content));
  EXPECT_INPUT_ERROR(open(spec()), "data", "Fortran");
  data(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (9216,), }", content));
  EXPECT_INPUT_ERROR(open(spec()), "data", "2 extents, got 1");
  data(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 3071), }", content));
  EXPECT_INPUT_ERROR(open(spec()), "data", "[3, 3071]");
  data(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4, 2304), }", content));
  EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz", "as many images as labels");
  data(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 3072), }", content + "x"));
  EXPECT_INPUT_ERROR(open(spec()), "data", "as many bytes");
  data(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", ""));
  EXPECT_INPUT_ERROR(open(spec()), "data", "as many bytes");
  data(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 1024), }", content.substr(0, 3072)));
  EXPECT_INPUT_ERROR(open(spec()), "data", "[3, 3072]", "[3, 1024]");
}

TEST_F(ImageNet32, RefusesWrongLabels) {
  for (const int64_t label : {int64_t{0}, int64_t{-1}, int64_t{1} << 40}) {
    train(npz({1, label, 2}, 1));
    EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz", "label of image 1", "wanted 1 to");
  }
  train({{"data.npy", good_data}, {"labels.npy", npy_labels({1, 2})}});
  EXPECT_INPUT_ERROR(open(spec()), "train_data_batch_1.npz", "as many images as labels (2)");
  train(npz({1, 1, 1}, 1));  // one class, and val_data has a second one
  EXPECT_INPUT_ERROR(open(spec()), "val_data.npz", "1 to 1, got 2");
}

TEST(NpyHeaderTest, ReadsWhatNumpyWrites) {
  const NpyHeader header =
      parse_npy_header("{'descr': '<i8', 'fortran_order': False, 'shape': (6250,), }      \n", "t");
  EXPECT_EQ(header.type, "<i8");
  EXPECT_FALSE(header.fortran_order);
  EXPECT_EQ(header.shape, std::vector<int64_t>{6250});
  EXPECT_EQ(parse_npy_header("{'shape': (), 'fortran_order': True, 'descr': '<f4'}", "t").shape.size(), 0u);
  EXPECT_EQ(parse_npy_header("{'shape': (3, 4), 'fortran_order': True, 'descr': '<f4'}", "t").shape,
            (std::vector<int64_t>{3, 4}));
}

TEST(NpyHeaderTest, RefusesEverythingElse) {
  for (const char* text :
       {"", "{", "{'descr': '<i8', 'fortran_order': False, 'shape': (5,)", "{'descr': '<i8', 'fortran_order': False}",
        "{'descr': '<i8', 'descr': '<i8', 'fortran_order': False, 'shape': (5,)}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (5,), 'more': 1}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (5,)} x",
        "{'descr': '<i8', 'fortran_order': 0, 'shape': (5,)}",
        "{'descr': [('a', '<i8')], 'fortran_order': False, 'shape': (5,)}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (5)}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': 5}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (1e3,)}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (2**62, 4)}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': ((((((5,),),),),),)}"}) {
    EXPECT_THROW(parse_npy_header(text, "t"), InputError) << text;
  }
}

TEST(RealImageNet32, Opens) {
  const auto folder = real_data("imagenet32-25");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no imagenet32-25 in KRONBIT_DATA or ~/.cache/kronbit";
  const Splits splits = open("imagenet32:" + folder.native());
  EXPECT_EQ(splits.train.classes(), 25);
  EXPECT_EQ(splits.train.size(), 10000);
  EXPECT_EQ(splits.validation.size(), 2500);
  EXPECT_EQ(splits.test.size(), 1250);
  EXPECT_EQ(splits.train.class_names()[4], "Egyptian cat");
}

}  // namespace
}  // namespace kronbit::data
