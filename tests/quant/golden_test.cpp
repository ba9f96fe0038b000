// Post-training accuracy of the ResNet20 trained in PyTorch against numbers computed by PyTorch
// (golden/resnet20_ptq.py): the definitions are the same. Needs the data; see real_data().
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "nn/models/models.h"
#include "nn/state_dict.h"
#include "quant/assign.h"
#include "tensor/io/parse.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit::quant {
namespace {

constexpr int64_t kImages = 500, kRecord = 1 + 3 * 32 * 32;

TEST(Golden, QuantizedResNet20ClassifiesLikePyTorch) {
  const std::filesystem::path batch = real_data("cifar-10-batches-bin/test_batch.bin");
  const std::filesystem::path weights = real_data("resnet20-cifar10.safetensors");
  if (!std::filesystem::exists(batch) || !std::filesystem::exists(weights))
    GTEST_SKIP() << "no " << batch << " or no " << weights;

  std::vector<char> records(static_cast<size_t>(kImages * kRecord));
  std::ifstream(batch, std::ios::binary).read(records.data(), static_cast<std::streamsize>(records.size()));
  const float mean[] = {0.485f, 0.456f, 0.406f}, sd[] = {0.229f, 0.224f, 0.225f};
  Tensor x = Tensor::activation(32, 32, kImages, 3);
  for (int64_t n = 0; n < kImages; ++n)
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t pixel = 0; pixel < 1024; ++pixel) {
        const auto byte = static_cast<uint8_t>(records[static_cast<size_t>(n * kRecord + 1 + c * 1024 + pixel)]);
        x.row<float>(pixel * kImages + n)[c] = (static_cast<float>(byte) / 255.0f - mean[c]) / sd[c];
      }

  nn::Network net = nn::build("resnet20");
  nn::load_state_dict(net, weights);
  std::ifstream golden(KRONBIT_SOURCE_DIR "/tests/quant/golden/resnet20_ptq.txt");
  int rows = 0;
  for (std::string line; std::getline(golden, line); ++rows) {
    const std::vector<std::string> fields = split(line, '|');
    ASSERT_EQ(fields.size(), 3u);
    remove_bits(net);
    if (fields[0] != "fp32") assign_bits(net, parse_bits(fields[0], 19), {.mode = parse_mode(fields[1])});
    const Tensor logits = net.forward(x, {}).value();
    int correct = 0;
    for (int64_t n = 0; n < kImages; ++n) {
      const float* row = logits.row<float>(n);
      correct += std::max_element(row, row + 10) - row == records[static_cast<size_t>(n * kRecord)];
    }
    // A logit differs in the last digits (order of sums), a mantissa may then round the other way: a few images.
    EXPECT_NEAR(correct, std::stoi(fields[2]), fields[0] == "fp32" ? 1 : 4) << line;
  }
  EXPECT_EQ(rows, 5);
}

}  // namespace
}  // namespace kronbit::quant
