#include "nn/cuda/device_network.h"

#include <cmath>

#include "nn/cuda/device_pass.h"

namespace kronbit::nn {
namespace {

constexpr const char* kVelocity = "velocity.";

Sgd sgd_of(const OptimiserOptions& rule) {
  if (const Sgd* sgd = std::get_if<Sgd>(&rule)) return *sgd;
  input_error("device", "optimiser: wanted sgd on a GPU, got adam");
}

}  // namespace

DeviceNetwork::DeviceNetwork(Network& net, Device& device, const std::optional<OptimiserOptions>& rule)
    : net_(net), device_(device), trains_(rule.has_value()), rule_(sgd_of(rule.value_or(Sgd{}))) {
  for (const Node& node : net.nodes())
    if (trains_ && node.op->kind() == "dropout")
      input_error("device", "{}: wanted a network without dropout, which is not trained on a GPU", node.name);
  for (const Parameter& p : net.parameters()) {
    const int64_t count = p.var.value().count();
    Slot slot;
    slot.value = DeviceArray<float>(device, count);
    if (trains_ && p.var.requires_grad()) {
      slot.gradient = DeviceArray<float>(device, count);
      slot.gradient.zero();
      if (rule_.momentum > 0) {
        slot.velocity = DeviceArray<float>(device, count);
        slot.velocity.zero();
      }
    }
    slots_.push_back(std::move(slot));
  }
  upload();
}
DeviceNetwork::~DeviceNetwork() = default;

DevicePass& DeviceNetwork::pass(int64_t images, bool training) {
  KB_CHECK(trains_ || !training);
  std::unique_ptr<DevicePass>& pass = passes_[{images, training}];
  if (!pass) pass = std::make_unique<DevicePass>(*this, images, training);
  return *pass;
}

void DeviceNetwork::keep_images(const data::MemorySource& source, const data::Normalization& normalization) {
  const data::PixelTable table = data::pixel_table(normalization);
  image_bytes_ = DeviceArray<uint8_t>(device_, source.pixels);
  pixel_values_ = DeviceArray<float>(device_, table[0].data(), 3 * 256);
  images_ = {.rgb = image_bytes_.data(),
             .values = pixel_values_.data(),
             .height = static_cast<int>(source.height),
             .width = static_cast<int>(source.width)};
}

DeviceLoss DeviceNetwork::train(const data::Picks& picks, double label_smoothing, double lr, double max_norm) {
  KB_CHECK(images_.rgb != nullptr);
  std::vector<CropChoice> choices;
  for (size_t n = 0; n < picks.images.size(); ++n) {
    const data::Shift& shift = picks.shifts[n];
    choices.push_back({static_cast<int>(picks.images[n]), shift.dy, shift.dx, shift.flip ? 1 : 0});
  }
  DevicePass& p = pass(std::ssize(choices), true);
  p.put(images_, choices);
  return finish_step(p, picks.labels, label_smoothing, lr, max_norm);
}

DeviceLoss DeviceNetwork::train(const Tensor& images, const std::vector<int>& labels, double label_smoothing, double lr,
                                double max_norm) {
  net_.check_input(images);
  DevicePass& p = pass(images.images(), true);
  p.put(images);
  return finish_step(p, labels, label_smoothing, lr, max_norm);
}

DeviceLoss DeviceNetwork::finish_step(DevicePass& p, const std::vector<int>& labels, double label_smoothing, double lr,
                                      double max_norm) {
  last_trained_ = &p;
  p.run(labels, label_smoothing);
  const LossTally tally = p.tally();
  const DeviceLoss seen{tally.loss / static_cast<double>(tally.images), tally.top1, tally.images};
  if (!std::isfinite(seen.loss) || !std::isfinite(p.gradient_squares()))
    throw NumericalError("[device] the loss or a gradient is not finite");
  p.update(rule_, lr, max_norm);
  return seen;
}

void DeviceNetwork::repeat() {
  KB_CHECK(last_trained_ != nullptr);
  last_trained_->repeat();
}

Tensor DeviceNetwork::forward(const Tensor& images) {
  net_.check_input(images);
  DevicePass& p = pass(images.images(), false);
  p.put(images);
  p.run({}, 0);
  return p.logits();
}

void DeviceNetwork::fetch() {
  for (size_t i = 0; i < slots_.size(); ++i)
    device_.download(net_.parameters()[i].var.value().data<float>(), slots_[i].value.data(), slots_[i].value.bytes());
}

void DeviceNetwork::upload() {
  for (size_t i = 0; i < slots_.size(); ++i) slots_[i].value.upload(net_.parameters()[i].var.value().data<float>());
}

std::map<std::string, Tensor> DeviceNetwork::velocities() const {
  std::map<std::string, Tensor> state;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].velocity.count() == 0) continue;
    Tensor to = Tensor::zeros(net_.parameters()[i].var.value().shape());
    device_.download(to.data<float>(), slots_[i].velocity.data(), slots_[i].velocity.bytes());
    state[kVelocity + net_.parameters()[i].name] = to;
  }
  return state;
}

void DeviceNetwork::set_velocities(const std::map<std::string, Tensor>& state) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].velocity.count() == 0) continue;
    const auto found = state.find(kVelocity + net_.parameters()[i].name);
    if (found != state.end()) slots_[i].velocity.upload(found->second.data<float>());
  }
}

}  // namespace kronbit::nn
