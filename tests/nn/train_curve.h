// The run of golden/train_curve.py: its start and its batches. Also that of tests/quant/golden/train_curve.py.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "nn/models/models.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/optim.h"
#include "tests/nn/formula.h"

namespace kronbit::nn {

inline Network curve_start() {
  Network net = build("resnet20");
  for (Parameter& p : net.parameters()) {
    p.var.value().copy_from(formula(p.name, p.var.value().shape(), p.role));
    if (!p.name.ends_with("bn2.weight") && p.name != "linear.weight") continue;
    float* v = p.var.value().data<float>();
    for (int64_t i = 0; i < p.var.value().count(); ++i) v[i] *= 0.25f;
  }
  return net;
}

struct CurveBatch {
  Tensor images;
  std::vector<int> labels;
};

inline CurveBatch curve_batch(int64_t step) {
  constexpr int64_t kImages = 16, kNumbers = 3 * 32 * 32;
  CurveBatch batch{Tensor::activation(32, 32, kImages, 3), {}};
  for (int64_t n = 0; n < kImages; ++n) {
    const int64_t image = step * kImages + n;
    std::vector<double> x = hashed("class " + std::to_string(image % 10), kNumbers);
    const std::vector<double> own = hashed("image " + std::to_string(image), kNumbers);
    for (size_t i = 0; i < x.size(); ++i) x[i] += 0.5 * own[i];
    set_image(batch.images, n, x.data());
    batch.labels.push_back(static_cast<int>(image % 10));
  }
  return batch;
}

/// Trains `net` as the generator does; loss i, the last one of evaluation, within tolerances[i] of the file's.
inline void expect_curve(Network& net, const std::string& file, const std::vector<double>& tolerances,
                         DType precision = DType::F32) {
  std::ifstream in(file);
  std::vector<double> golden;
  for (double loss = 0; in >> loss;) golden.push_back(loss);
  ASSERT_EQ(golden.size(), tolerances.size()) << file;
  Optimiser optimiser(net.parameters(), Sgd{.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-4});
  for (size_t step = 0; step < golden.size(); ++step) {
    const bool training = step + 1 < golden.size();
    const CurveBatch batch = curve_batch(static_cast<int64_t>(step));
    optimiser.clear_gradients();
    RunContext context;
    context.training = training;
    context.precision = precision;
    const Var loss = softmax_cross_entropy(net.forward(batch.images, context), batch.labels);
    EXPECT_NEAR(loss.value().data<float>()[0], golden[step], tolerances[step])
        << (training ? "step " : "evaluation ") << step;
    if (training) {
      backward(loss);
      optimiser.step(0.1);
    }
  }
}

}  // namespace kronbit::nn
