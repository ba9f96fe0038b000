#include "quant/engine/device/device_engine.h"

#include <algorithm>
#include <bit>

#include "quant/engine/device/device_plan.h"

namespace kronbit::quant {
namespace {

/// Images first .. first + count - 1 of x, then zeros up to `images`.
Tensor some_images(const Tensor& x, int64_t first, int64_t count, int64_t images) {
  Tensor part = Tensor::activation(x.height(), x.width(), images, x.channels());
  for (int64_t p = 0; p < x.height() * x.width(); ++p)
    for (int64_t n = 0; n < count; ++n)
      std::copy_n(x.row<float>(p * x.images() + first + n), x.channels(), part.row<float>(p * images + n));
  return part;
}

}  // namespace

DeviceEngine::DeviceEngine(const PackedNetwork& network, Device& device, DeviceEngineOptions options)
    : device_(device),
      options_(std::move(options)),
      net_(network.network(PackedKernel::Reference)),
      classes_(network.classes()),
      constants_(device) {
  DevicePlan::check(net_);
  if (!options_.kernel.empty() && !plan(1).forced_was_used())
    input_error("kernel", "{}: wanted a kernel that accepts a layer of {}, got none", options_.kernel,
                network.network_name());
}
DeviceEngine::~DeviceEngine() = default;

int64_t DeviceEngine::group_of(int64_t n) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::min(n, kGroup))));
}

DevicePlan& DeviceEngine::plan(int64_t images) {
  std::unique_ptr<DevicePlan>& plan = plans_[images];
  if (!plan) plan = std::make_unique<DevicePlan>(net_, images, device_, options_, constants_);
  return *plan;
}

void DeviceEngine::run(const Tensor& x, std::span<float> logits) {
  const Shape& image = net_.input_shape();
  if (x.dtype() != DType::F32 || x.shape().rank() != 4 || x.height() != image[0] || x.width() != image[1] ||
      x.channels() != image[3])
    input_error("engine", "x: wanted [{}, {}, N, {}] f32, got {}", image[0], image[1], image[3], x.shape().text());
  if (std::ssize(logits) != x.images() * classes_)
    input_error("engine", "logits: wanted room for {} numbers, got {}", x.images() * classes_, logits.size());
  std::vector<float> padded;
  for (int64_t first = 0; first < x.images(); first += kGroup) {
    const int64_t count = std::min(kGroup, x.images() - first);
    const int64_t images = group_of(count);
    padded.resize(static_cast<size_t>(images * classes_));
    plan(images).run(some_images(x, first, count, images), padded.data());
    std::copy_n(padded.data(), count * classes_, logits.data() + first * classes_);
  }
}

Tensor DeviceEngine::classify(const Tensor& x) {
  std::vector<float> logits(static_cast<size_t>(x.images() * classes_));
  run(x, logits);
  Tensor y = Tensor::activation(1, 1, x.images(), classes_);
  for (int64_t n = 0; n < x.images(); ++n) std::copy_n(logits.data() + n * classes_, classes_, y.row<float>(n));
  return y;
}

const std::vector<LayerChoice>& DeviceEngine::choices(int64_t images) { return plan(group_of(images)).choices(); }

std::vector<PlanReport> DeviceEngine::plans_that_ran() const {
  std::vector<PlanReport> ran;
  for (const auto& [images, plan] : plans_)
    if (plan->ran()) ran.push_back({images, plan->exact(), plan->choices()});
  return ran;
}

int64_t DeviceEngine::memory_bytes() const {
  int64_t bytes = constants_.bytes();
  for (const auto& [images, plan] : plans_) bytes += plan->buffer_bytes();
  return bytes;
}

bool DeviceEngine::exact() const {
  return std::all_of(plans_.begin(), plans_.end(), [](const auto& p) { return p.second->exact(); });
}

}  // namespace kronbit::quant
