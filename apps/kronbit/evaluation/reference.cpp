#include "apps/kronbit/evaluation/reference.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "apps/kronbit/evaluation/numerics.h"
#include "nn/ops/conv2d_products.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/io/safetensors.h"

namespace kronbit::app {
namespace {

/// ln softmax of one row, in place.
void log_softmax(std::vector<double>& row) {
  const double top = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const double v : row) sum += std::exp(v - top);
  const double log_sum = top + std::log(sum);
  for (double& v : row) v -= log_sum;
}

std::optional<Tensor> read(const std::filesystem::path& path, const std::string& key, const Shape& shape) {
  if (path.empty() || !std::filesystem::exists(path)) return std::nullopt;
  try {
    const SafetensorsFile file = SafetensorsFile::open(path);
    const TensorInfo* info = file.find("logits");
    const auto found = file.metadata().find("key");
    if (found == file.metadata().end() || found->second != key || !info || info->shape != shape.extents()) {
      return std::nullopt;
    }
    return to_tensor(*info, path.string());
  } catch (const InputError&) {
    return std::nullopt;  // damaged: written anew
  }
}

}  // namespace

double mean_kl(const Tensor& reference, const Tensor& logits) {
  KB_CHECK_EQ(reference.rows(), logits.rows());
  KB_CHECK_EQ(reference.cols(), logits.cols());
  std::vector<double> p(static_cast<size_t>(logits.cols())), q(p.size());
  double sum = 0;
  for (int64_t row = 0; row < logits.rows(); ++row) {
    const float* a = reference.data<float>() + row * reference.pitch();
    const float* b = logits.data<float>() + row * logits.pitch();
    std::copy_n(a, p.size(), p.begin());
    std::copy_n(b, q.size(), q.begin());
    log_softmax(p);
    log_softmax(q);
    for (size_t c = 0; c < p.size(); ++c) sum += std::exp(p[c]) * (p[c] - q[c]);
  }
  // Equal logits give 0 but for rounding.
  return std::max(0.0, sum / static_cast<double>(logits.rows()));
}

Answers answers_of(const std::function<Tensor(const Tensor&)>& classify, const data::Dataset& images,
                   const data::Normalization& normalization, const std::atomic<bool>* stop) {
  Answers answers;
  float* next = nullptr;
  const auto keep = [&](const Tensor& batch) {
    Tensor logits = classify(batch);
    if (next == nullptr) {
      answers.logits = Tensor::uninitialized({images.size(), logits.cols()});
      next = answers.logits.data<float>();
    }
    for (int64_t row = 0; row < logits.rows(); ++row, next += logits.cols()) {
      std::copy_n(logits.data<float>() + row * logits.pitch(), logits.cols(), next);
    }
    return logits;
  };
  answers.accuracy = nn::evaluate(keep, images, normalization, kImagesAtOnce, {}, stop);
  return answers;
}

Tensor reference_logits(const std::filesystem::path& path, const std::string& key, nn::Network& net,
                        const data::Splits& splits, const std::atomic<bool>* stop) {
  const BrgemmVariant* kernel = forced_brgemm_variant();
  const DType precision = kernel && !kernel->serves(DType::F32) ? DType::BF16 : DType::F32;
  const std::string whole_key = key + (precision == DType::BF16 ? ", bf16" : "");
  const Shape shape = {splits.validation.size(), net.classes()};
  if (const std::optional<Tensor> known = read(path, whole_key, shape)) return *known;
  nn::ConvWeightCache weights;
  const nn::RunContext context{.precision = precision, .weights = &weights};
  const auto classify = [&](const Tensor& images) { return net.forward(images, context).value(); };
  const Tensor logits = answers_of(classify, splits.validation, splits.normalization, stop).logits;
  if (!path.empty()) {
    SafetensorsWriter writer;
    writer.add("logits", logits);
    writer.set_metadata("key", whole_key);
    try {
      writer.publish(path);
    } catch (const Error& e) {
      throw Refusal(e.what());  // a full disk says nothing about the network
    }
  }
  return logits;
}

}  // namespace kronbit::app
