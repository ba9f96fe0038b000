// Training a quantized network: the losses are those of PyTorch with the same quantizers (golden/train_curve.py).
#include "tests/nn/train_curve.h"
#include "quant/assign.h"

namespace kronbit::quant {
namespace {

TEST(QuantizedTraining, FollowsPyTorch) {
  nn::Network net = nn::curve_start();
  assign_bits(net, std::vector<int>(19, 2));
  std::vector<double> tolerances(7, 5e-3);
  tolerances[0] = tolerances[1] = 1e-4;
  nn::expect_curve(net, KRONBIT_SOURCE_DIR "/tests/quant/golden/train_curve.txt", tolerances);
}

}  // namespace
}  // namespace kronbit::quant
