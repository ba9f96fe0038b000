// Packed networks: files there and back, bytes against the size rule, logits against the network they came from, and
// damaged files refused.
#include "quant/packed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "nn/layers.h"
#include "nn/models/models.h"
#include "quant/fold.h"
#include "quant/verify.h"
#include "tensor/rng.h"
#include "tests/nn/random_tensors.h"
#include "tests/tensor/message_of.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit::quant {
namespace {

constexpr const char* kMixed = "666 5555 44444 33333 21";

// A ResNet20 with random weights and batch norm statistics that keep the signal in range.
nn::Network network(const char* bits, const AssignOptions& options = {}) {
  nn::Network net = nn::build("resnet20");
  net.initialize(31);
  Rng rng(32, Purpose::Test);
  for (nn::Parameter& p : net.parameters()) {
    float* v = p.var.value().data<float>();
    const bool positive = p.role == nn::Role::Scale || p.role == nn::Role::Variance;
    if (p.role == nn::Role::Weight) continue;
    for (int64_t i = 0; i < p.var.value().count(); ++i)
      v[i] = static_cast<float>(positive ? rng.uniform(0.5, 1.5) : rng.uniform(-0.2, 0.2));
  }
  assign_bits(net, parse_bits(bits, 19), options);
  return net;
}

Tensor images(int64_t n) { return nn::random_activation(32, 32, n, 3, 33).to(DType::F32); }

std::vector<float> logits(nn::Network net, const Tensor& x) { return net.forward(x, {}).value().values(); }

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double d = 0;
  for (size_t i = 0; i < a.size(); ++i) d = std::max(d, static_cast<double>(std::fabs(a[i] - b[i])));
  return d;
}

class PackedFile : public testing::Test {
 protected:
  std::filesystem::path path(const char* name) const { return folder_ / name; }

 private:
  const TemporaryFolder folder_;
};

TEST(Fold, LeavesTheLogitsAsTheyWere) {
  nn::Network net = network(kMixed);
  remove_bits(net);
  const Tensor x = images(3);
  const std::vector<float> a = logits(net, x), b = logits(fold_batch_norm(net), x);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4 * (1 + std::fabs(a[i])));
  const nn::Network folded = fold_batch_norm(net);
  EXPECT_NE(folded.find_parameter("bn1.scale"), nullptr);
  EXPECT_EQ(folded.find_parameter("bn1.running_var"), nullptr);
}

TEST(Fold, FollowsTheFormulaWhereTheVarianceVanishes) {
  nn::Network net = nn::build("resnet20");
  const auto set = [&](const char* name, float value) {
    Tensor t = net.find_parameter(name)->var.value();  // shares its memory
    t.data<float>()[1] = value;
  };
  set("bn1.weight", 3);
  set("bn1.bias", 0.5f);
  set("bn1.running_mean", 0.25f);
  set("bn1.running_var", 0);
  const nn::Network folded = fold_batch_norm(net);
  const double scale = 3 / std::sqrt(1e-5);
  EXPECT_EQ(folded.find_parameter("bn1.scale")->var.value().data<float>()[1], static_cast<float>(scale));
  EXPECT_EQ(folded.find_parameter("bn1.shift")->var.value().data<float>()[1], static_cast<float>(0.5 - 0.25 * scale));
}

TEST_F(PackedFile, ComputesWhatTheFoldedNetworkComputes) {
  const Tensor x = images(3);
  for (const char* bits : {"8", "4", "1", kMixed}) {
    for (int64_t block : {32, 7}) {
      const nn::Network net = network(bits, {.block = block});
      const std::vector<float> want = logits(fold_batch_norm(net), x);
      pack(net, {.multipliers = MultiplierFormat::F32}).save(path("a"));
      EXPECT_EQ(logits(PackedNetwork::load(path("a")).network(), x), want) << bits << ", block " << block;
    }
  }
}

TEST_F(PackedFile, RoundedMultipliersChangeLittle) {
  const nn::Network net = network("8", {.activations = false});
  const Tensor x = images(3);
  const std::vector<float> want = logits(net, x);
  double largest = 0;
  for (float v : want) largest = std::max(largest, static_cast<double>(std::fabs(v)));
  const double half = largest_difference(logits(pack(net).network(), x), want);
  const double brain =
      largest_difference(logits(pack(net, {.multipliers = MultiplierFormat::BF16}).network(), x), want);
  EXPECT_LT(half, 1e-3 * largest);   // 2^-12 per weight
  EXPECT_LT(brain, 1e-2 * largest);  // 2^-9
  EXPECT_GT(brain, half);
  // An FP32 network's own activations in the packed one too.
  EXPECT_FALSE(pack(net).assignment().options.activations);
}

TEST_F(PackedFile, KeepsEverythingItWasTold) {
  const nn::Network net = network(kMixed, {.mode = Mode::PaperFloor, .block = 16});
  std::vector<std::string> names;
  for (int i = 0; i < 10; ++i) names.push_back("class \"" + std::to_string(i) + "\" <b> \u00e4");
  pack(net, {.class_names = names, .normalization = "0.5,0.5,0.5/0.25,0.25,0.25"}).save(path("a"));
  const PackedNetwork packed = PackedNetwork::load(path("a"));
  EXPECT_EQ(packed.network_name(), "resnet20");
  EXPECT_EQ(packed.classes(), 10);
  EXPECT_EQ(packed.class_names(), names);
  EXPECT_EQ(packed.normalization(), "0.5,0.5,0.5/0.25,0.25,0.25");
  EXPECT_EQ(packed.input_size(), 32);
  EXPECT_EQ(packed.bits(), parse_bits(kMixed, 19));
  EXPECT_EQ(packed.assignment().options.mode, Mode::PaperFloor);
  EXPECT_EQ(packed.assignment().options.block, 16);
  EXPECT_EQ(packed.writer().bytes(),
            pack(net, {.class_names = names, .normalization = packed.normalization()}).writer().bytes());
  EXPECT_EQ(current_bits(net), packed.bits());
}

TEST_F(PackedFile, BytesAreThoseOfTheSizeRule) {
  for (const char* bits : {"1", "8", kMixed}) {
    for (int64_t block : {32, 5}) {
      for (MultiplierFormat format : {MultiplierFormat::Auto, MultiplierFormat::F32}) {
        const nn::Network net = network(bits, {.block = block});
        pack(net, {.multipliers = format}).save(path("a"));
        int64_t bytes = 0;
        const SafetensorsFile file = SafetensorsFile::open(path("a"));
        for (const TensorInfo& t : file.tensors())
          if (t.name.ends_with(".weight_packed") || t.name.ends_with(".weight_scale"))
            bytes += static_cast<int64_t>(t.bytes.size());
        const SizeReport report = size_of(nn::conv_layers(net), parse_bits(bits, 19), SizeRule::Packed, block, format);
        EXPECT_EQ(bytes, report.bytes) << bits << ", block " << block;
        EXPECT_EQ(PackedNetwork::load(path("a")).conv_bytes(), report.bytes);
      }
    }
  }
}

TEST(PackedBytes, EveryModelsLayersTakeWhatTheSizeRuleSays) {
  for (const char* name : {"resnet20", "vgg11", "googlenet"}) {
    nn::Network net = nn::build(name);
    const std::vector<nn::ConvInfo> layers = nn::conv_layers(net);
    Bits bits;
    for (size_t l = 0; l < layers.size(); ++l) bits.push_back(8 - static_cast<int>(l) % 8);
    assign_bits(net, bits);
    EXPECT_EQ(pack(net).conv_bytes(), size_of(layers, bits, SizeRule::Packed).bytes) << name;
  }
}

TEST_F(PackedFile, VerifyComparesWithTheReference) {
  pack(network(kMixed)).save(path("a"));
  const Verification v = verify(path("a"), images(4));
  EXPECT_EQ(v.images, 4);
  EXPECT_EQ(v.file_bytes, v.rule_bytes);
  EXPECT_EQ(v.same_class, 4);
  EXPECT_GT(v.largest_logit, 0.01);
  // FP32 sums in another order, layer by layer; in the whole network a mantissa that rounds the other way is worth a
  // step.
  EXPECT_LT(v.layer_difference, 1e-5);
  EXPECT_GT(v.layer_difference, 0);
  EXPECT_FALSE(v.worst_layer.empty());
  EXPECT_LT(v.relative_difference(), 0.05);
  EXPECT_TRUE(v.good());

  pack(network("8", {.activations = false})).save(path("b"));  // no mantissas: only the order of sums is left
  EXPECT_LT(verify(path("b"), images(2)).relative_difference(), 1e-4);

  pack(network("4", {.block = 48})).save(path("c"));
  const Verification other = verify(path("c"), images(2));
  EXPECT_FALSE(other.engine_exact);
  EXPECT_TRUE(other.good());
}

TEST_F(PackedFile, LayersMayHaveMultipliersOfDifferentWidths) {
  const PackedNetwork half = pack(network(kMixed)),
                      full = pack(network(kMixed), {.multipliers = MultiplierFormat::F32});
  const std::vector<std::byte> half_bytes = half.writer().bytes(), full_bytes = full.writer().bytes();
  const SafetensorsFile narrow = SafetensorsFile::parse(half_bytes, "half"),
                        wide = SafetensorsFile::parse(full_bytes, "full");
  SafetensorsWriter writer;
  for (const auto& [key, value] : narrow.metadata()) writer.set_metadata(key, value);
  for (const TensorInfo& t : narrow.tensors()) {
    const TensorInfo& from = t.name == "layer1.0.conv1.weight_scale" ? *wide.find(t.name) : t;
    writer.add(from.name, from.dtype, from.shape, from.bytes);
  }
  writer.publish(path("a"));
  const Verification v = verify(path("a"), images(2));
  EXPECT_GT(v.file_bytes, half.conv_bytes());
  EXPECT_LT(v.file_bytes, full.conv_bytes());
  EXPECT_EQ(v.file_bytes, v.rule_bytes);
  EXPECT_TRUE(v.good());
}

TEST(Pack, RefusesWhatCannotBePacked) {
  nn::Network net = network("4");
  EXPECT_THROW(pack(net, {.class_names = {"one"}}), InputError);
  EXPECT_THROW(pack(net, {.class_names = std::vector<std::string>(10, "\x1b[31m")}), InputError);
  EXPECT_THROW(pack(net, {.normalization = "no"}), InputError);
  nn::Network bad = net.clone();
  bad.parameters()[0].var.value().data<float>()[0] = std::nanf("");
  EXPECT_THROW(pack(bad), InputError);
  bad = net.clone();
  bad.parameters().back().var.value().data<float>()[0] = INFINITY;
  EXPECT_THROW(pack(bad), InputError);
  remove_bits(net);
  EXPECT_THROW(pack(net), InputError);
  nn::Network other("resnet20", 32, 32, 3, 10);
  other.add("conv",
            std::make_shared<nn::Conv2d>(
                nn::Conv2dOptions{.in_channels = 3, .out_channels = 4, .kernel_h = 1, .kernel_w = 1}),
            {0});
  assign_bits(other, Bits{4});
  EXPECT_THROW(pack(other), InputError);
}

// The same file with other metadata or tensors.
class Damaged : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    bytes_ = new std::vector<std::byte>(
        pack(network(kMixed), {.class_names = std::vector<std::string>(10, "c"), .normalization = "0,0,0/1,1,1"})
            .writer()
            .bytes());
  }
  static void TearDownTestSuite() { delete bytes_; }

  // Writes all of the good file except what `change` takes over, and parses that.
  template <class Change>
  static void parse(const Change& change) {
    const SafetensorsFile good = SafetensorsFile::parse(*bytes_, "good");
    SafetensorsWriter writer;
    std::map<std::string, std::string> metadata = good.metadata();
    std::vector<TensorInfo> tensors = good.tensors();
    std::vector<std::vector<std::byte>> own;
    change(metadata, tensors, own);
    for (const auto& [key, value] : metadata) writer.set_metadata(key, value);
    for (const TensorInfo& t : tensors) writer.add(t.name, t.dtype, t.shape, t.bytes);
    const std::vector<std::byte> bytes = writer.bytes();
    PackedNetwork::parse(SafetensorsFile::parse(bytes, "damaged"));
  }
  template <class Change>
  static void refused(const char* what, const Change& change) {
    const std::string text = message_of([&] { parse(change); });
    EXPECT_TRUE(text.starts_with("[damaged]")) << what << ": " << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
  static std::vector<std::byte>* bytes_;
};
std::vector<std::byte>* Damaged::bytes_ = nullptr;

using Metadata = std::map<std::string, std::string>;
using Tensors = std::vector<TensorInfo>;
using Own = std::vector<std::vector<std::byte>>;

TEST_F(Damaged, TheGoodFileIsAccepted) {
  EXPECT_NO_THROW(parse([](Metadata&, Tensors&, Own&) {}));
}

TEST_F(Damaged, MetadataIsRefused) {
  const std::pair<const char*, const char*> changes[] = {
      {"kronbit.layout", "2"},
      {"kronbit.layout", ""},
      {"network", "resnet999"},
      {"network", "resnet32"},
      {"classes", "0"},
      {"classes", "11"},
      {"classes", "10000000"},
      {"classes", "ten"},
      {"class_names", "[\"a\"]"},
      {"class_names", "{}"},
      {"class_names", "[1,2]"},
      {"class_names", "[\"a\""},
      {"input_size", "0"},
      {"input_size", "2147483648"},
      {"input_size", "-32"},
      {"bits", ""},
      {"bits", "0"},
      {"bits", "9"},
      {"bits", "4.5"},
      {"bits", "666 5555 44444 33333 2"},
      {"bits", "4x1000000000"},
      {"bits", "666 5555 44444 33333 22"},
      {"block", "0"},
      {"block", "31"},
      {"block", "-32"},
      {"block", "2147483648"},
      {"mode", "ternary"},
      {"mode", "binary"},
      {"activations", "maybe"},
      {"normalization", "0,0,0/0,0,0"},
      {"normalization", "0,0,0/nan,1,1"},
      {"normalization", "0,0,0,0/1,1,1,1"},
      {"layers", "[]"},
      {"layers", "3"},
  };
  for (const auto& [key, value] : changes)
    refused(key, [k = key, v = value](Metadata& m, Tensors&, Own&) { m[k] = v; });
  for (const char* key :
       {"kronbit.layout", "network", "classes", "input_size", "bits", "block", "mode", "activations", "layers"})
    refused(key, [key](Metadata& m, Tensors&, Own&) { m.erase(key); });
  refused("layer order", [](Metadata& m, Tensors&, Own&) {
    std::string& layers = m["layers"];
    layers.replace(layers.find("layer1.0.conv1"), 14, "layer1.0.conv2");
  });
}

TEST_F(Damaged, ClassesAreCheckedBeforeTheyTakeMemory) {
  const auto many = [](Metadata& m, Tensors&, Own&) {
    m["classes"] = "65536";
    m.erase("class_names");
  };
  EXPECT_THAT(message_of([&] { parse(many); }), testing::HasSubstr("classes: wanted the rows"));
}

TEST_F(Damaged, LinearLayersAreCheckedBeforeTheyTakeMemory) {
  const auto large = [](const char* network) {
    return [network](Metadata& m, Tensors&, Own&) {
      m["network"] = network;
      m["input_size"] = "1024";
    };
  };
  // 8.6 GB of weights behind the flatten, which the file does not have.
  EXPECT_EQ(message_of([&] { parse(large("vgg16_imagenet")); }), "[damaged] classifier.0.weight: missing");
  EXPECT_EQ(message_of([&] { parse(large("resnet20")); }), "nothing was thrown") << "images of any size";
}

TEST_F(Damaged, TensorsAreRefused) {
  const auto find = [](Tensors& tensors, const char* name) {
    return std::find_if(tensors.begin(), tensors.end(), [&](const TensorInfo& t) { return t.name == name; });
  };
  for (const char* name : {"conv1.weight_packed", "conv1.weight_scale", "bn1.scale", "linear.weight"}) {
    refused(name, [&](Metadata&, Tensors& t, Own&) { t.erase(find(t, name)); });
    refused(name, [&](Metadata&, Tensors& t, Own& own) {  // one row too few
      auto it = find(t, name);
      const size_t row = it->bytes.size() / static_cast<size_t>(it->shape[0]);
      own.emplace_back(it->bytes.begin(), it->bytes.end() - static_cast<std::ptrdiff_t>(row));
      it->bytes = own.back();
      --it->shape[0];
    });
    refused(name, [&](Metadata&, Tensors& t, Own&) {  // same bytes, another shape
      auto it = find(t, name);
      it->shape = {it->shape[0], static_cast<int64_t>(it->bytes.size()) * 8 / bits_of(it->dtype) / it->shape[0], 1, 1,
                   1};
    });
    refused(name, [&](Metadata&, Tensors& t, Own&) {  // signed bytes, another number format
      auto it = find(t, name);
      it->dtype = it->dtype == StDType::U8 ? StDType::I8 : bits_of(it->dtype) == 16 ? StDType::U16 : StDType::I32;
    });
  }
  refused("surplus", [&](Metadata&, Tensors& t, Own&) {
    TensorInfo extra = *find(t, "bn1.scale");
    extra.name = "surplus";
    t.push_back(extra);
  });
  for (const uint16_t half : {uint16_t{0x7c00}, uint16_t{0xfc00}, uint16_t{0x7e00}}) {
    refused("multiplier", [&](Metadata&, Tensors& t, Own& own) {
      auto it = find(t, "layer1.0.conv1.weight_scale");
      own.emplace_back(it->bytes.begin(), it->bytes.end());
      std::memcpy(own.back().data() + 6, &half, 2);
      it->bytes = own.back();
    });
  }
  refused("padding", [&](Metadata&, Tensors& t, Own& own) {  // conv1 has 3 channels: bits 3..7 of each byte are padding
    auto it = find(t, "conv1.weight_packed");
    own.emplace_back(it->bytes.begin(), it->bytes.end());
    own.back()[17] |= std::byte{8};
    it->bytes = own.back();
  });
}

TEST_F(Damaged, BitFlipsInTheHeaderAreRefusedOrHarmless) {
  uint64_t header = 0;
  std::memcpy(&header, bytes_->data(), 8);
  Rng rng(41, Purpose::Test);
  std::vector<std::byte> bytes = *bytes_;
  int accepted = 0;
  for (uint64_t at = 0; at < 8 + header; at += 1 + rng.below(12)) {
    const std::byte before = bytes[at];
    bytes[at] ^= std::byte{1} << rng.below(8);
    try {
      const PackedNetwork packed = PackedNetwork::parse(SafetensorsFile::parse(bytes, "flipped"));
      EXPECT_EQ(packed.layers().size(), 19u);
      ++accepted;  // a class name, a digit of the normalization, a blank
    } catch (const InputError& e) {
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    }
    bytes[at] = before;
  }
  EXPECT_LT(accepted, 40);
  bytes.resize(bytes.size() / 2);
  EXPECT_THROW(PackedNetwork::parse(SafetensorsFile::parse(bytes, "half")), InputError);
}

}  // namespace
}  // namespace kronbit::quant
