#include "nn/ops/softmax_cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "tensor/parallel.h"

namespace kronbit::nn {
namespace {

constexpr int64_t kImagesPerChunk = 16;

void check_labels(const Tensor& logits, const std::vector<int>& labels) {
  KB_CHECK_EQ(static_cast<int64_t>(labels.size()), logits.rows());
  for (size_t n = 0; n < labels.size(); ++n) {
    if (labels[n] < 0 || labels[n] >= logits.cols())
      input_error("labels", "image {}: wanted 0..{}, got {}", n, logits.cols() - 1, labels[n]);
  }
}

/// log sum_k exp(row_k) = largest + log sum_k exp(row_k - largest), as those two terms: their sum would drown the
/// second in a large first.
struct LogSum {
  double largest, rest;
};
template <class T>
LogSum log_sum_exp(const T* row, int64_t classes) {
  double largest = static_cast<double>(row[0]);
  for (int64_t k = 1; k < classes; ++k) largest = std::max(largest, static_cast<double>(row[k]));
  double sum = 0;
  for (int64_t k = 0; k < classes; ++k) sum += std::exp(static_cast<double>(row[k]) - largest);
  return {largest, std::log(sum)};
}

}  // namespace

Tensor softmax_cross_entropy_forward(const Tensor& logits, const std::vector<int>& labels, double smoothing) {
  check_labels(logits, labels);
  const int64_t images = logits.rows(), classes = logits.cols();
  KB_CHECK(images > 0);
  Tensor loss = Tensor::zeros({1}, logits.dtype());
  visit_float(logits.dtype(), [&]<class T>() {
    std::vector<double> partial(static_cast<size_t>(chunk_count(images, kImagesPerChunk)), 0.0);
    parallel_for(images, kImagesPerChunk, [&](int64_t begin, int64_t end) {
      double& sum = partial[static_cast<size_t>(begin / kImagesPerChunk)];
      for (int64_t n = begin; n < end; ++n) {
        const T* row = logits.row<T>(n);
        const LogSum norm = log_sum_exp(row, classes);
        const auto minus_log = [&](int64_t k) { return norm.largest - static_cast<double>(row[k]) + norm.rest; };
        sum += (1 - smoothing) * minus_log(labels[static_cast<size_t>(n)]);
        if (smoothing == 0) continue;
        for (int64_t k = 0; k < classes; ++k) sum += smoothing / static_cast<double>(classes) * minus_log(k);
      }
    });
    double total = 0;
    for (double sum : partial) total += sum;
    loss.data<T>()[0] = static_cast<T>(total / static_cast<double>(images));
  });
  return loss;
}

Tensor softmax_cross_entropy_backward(double dloss, const Tensor& logits, const std::vector<int>& labels,
                                      double smoothing) {
  const int64_t classes = logits.cols();
  const double factor = dloss / static_cast<double>(logits.rows());
  Tensor dlogits = Tensor::zeros_like(logits);
  visit_float(logits.dtype(), [&]<class T>() {
    parallel_for(logits.rows(), kImagesPerChunk, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const T* row = logits.row<T>(n);
        T* out = dlogits.row<T>(n);
        const LogSum norm = log_sum_exp(row, classes);
        for (int64_t k = 0; k < classes; ++k) {
          const double softmax = std::exp(static_cast<double>(row[k]) - norm.largest - norm.rest);
          const double target =
              smoothing / static_cast<double>(classes) + (k == labels[static_cast<size_t>(n)] ? 1 - smoothing : 0.0);
          out[k] = static_cast<T>(factor * (softmax - target));
        }
      }
    });
  });
  return dlogits;
}

Var softmax_cross_entropy(const Var& logits, const std::vector<int>& labels, double smoothing) {
  Tensor loss = softmax_cross_entropy_forward(logits.value(), labels, smoothing);
  return record(std::move(loss), {logits}, [logits, labels, smoothing](const Tensor& dy) {
    const double dloss = visit_float(dy.dtype(), [&]<class T>() { return static_cast<double>(dy.data<T>()[0]); });
    logits.add_grad(softmax_cross_entropy_backward(dloss, logits.value(), labels, smoothing));
  });
}

int64_t count_correct(const Tensor& logits, const std::vector<int>& labels, int64_t k) {
  check_labels(logits, labels);
  int64_t correct = 0;
  visit_float(logits.dtype(), [&]<class T>() {
    for (int64_t n = 0; n < logits.rows(); ++n) {
      const T* row = logits.row<T>(n);
      const int64_t label = labels[static_cast<size_t>(n)];
      if (std::isnan(row[label])) continue;
      int64_t before = 0;  // classes that come before the label
      for (int64_t c = 0; c < logits.cols(); ++c) {
        const bool after = row[c] < row[label] || (row[c] == row[label] && c > label);
        before += c != label && !after;
      }
      correct += before < k;
    }
  });
  return correct;
}

}  // namespace kronbit::nn
