// Every image counted once, top-1 and top-5, and what evaluate() refuses.
#include <gmock/gmock.h>

#include <atomic>
#include <cmath>

#include "data/image.h"
#include "nn/train.h"
#include "tests/nn/random_images.h"
#include "tests/nn/small_network.h"
#include "tests/tensor/message_of.h"

namespace kronbit::nn {
namespace {

TEST(Evaluation, CountsEveryImageOnce) {
  Network net = small_network();
  for (int64_t i = 0; i < 320; ++i) weight(net, "linear.weight").data<float>()[i] *= 100;  // opinions that differ
  const std::vector<uint32_t> before = bits_of(net);
  const data::Dataset images = random_images(50);
  int64_t top1 = 0, top5 = 0;
  double loss = 0;
  for (int64_t i = 0; i < 50; ++i) {
    data::Image image{16, 16, std::vector<uint8_t>(16 * 16 * 3)};
    images.source().read(i, image.rgb.data());
    const std::vector<float> logits = net.forward(data::to_tensor(image, data::kCifar10), {}).value().values();
    const double own = double{logits[static_cast<size_t>(images.label(i))]};
    int64_t larger = 0;
    double sum = 0;
    for (const float v : logits) {
      larger += v > own;
      sum += std::exp(v - own);
    }
    top1 += larger < 1;
    top5 += larger < 5;
    loss += std::log(sum);
  }
  EXPECT_TRUE(top1 > 0 && top1 < top5 && top5 < 50) << top1 << ' ' << top5;

  std::vector<std::pair<int64_t, int64_t>> calls;
  const auto progress = [&](int64_t done, int64_t total) { calls.emplace_back(done, total); };
  const Accuracy a = evaluate(net, images, data::kCifar10, 20, progress);  // batches of 20, 20 and 10
  EXPECT_EQ(a.images, 50);
  EXPECT_EQ(a.top1, static_cast<double>(top1) / 50);
  EXPECT_EQ(a.top5, static_cast<double>(top5) / 50);
  EXPECT_NEAR(a.loss, loss / 50, 1e-5 * (1 + loss / 50));
  EXPECT_GT(a.seconds, 0);
  EXPECT_EQ(calls, (std::vector<std::pair<int64_t, int64_t>>{{20, 50}, {40, 50}, {50, 50}}));
  EXPECT_EQ(bits_of(net), before);
}

TEST(Evaluation, WithFewClassesTop5IsAll) {
  Network net = small_network(4, 3);
  const Accuracy a = evaluate(net, random_images(20, 3), data::kCifar10, 7);
  EXPECT_EQ(a.top5, 1);
  EXPECT_LT(a.top1, 1);
}

TEST(Evaluation, StopsWhenToldAndRefusesOtherLabels) {
  Network net = small_network();
  std::atomic<bool> stop = false;
  int64_t batches = 0;
  const auto progress = [&](int64_t, int64_t) {
    ++batches;
    stop = true;
  };
  EXPECT_EQ(message_of<Error>([&] { evaluate(net, random_images(30), data::kCifar10, 10, progress, &stop); }),
            "[evaluate] stopped");
  EXPECT_EQ(batches, 1);
  EXPECT_THROW(evaluate(net, random_images(30, 12), data::kCifar10), InputError);
}

}  // namespace
}  // namespace kronbit::nn
