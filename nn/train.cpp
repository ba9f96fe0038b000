#include "nn/train.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "nn/checkpoint.h"
#include "nn/cuda/device_network.h"
#include "nn/ops/conv2d_products.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "tensor/base/stopped.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/cpu.h"
#include "tensor/io/parse.h"

namespace kronbit::nn {
namespace {

std::string describe(const Schedule& s) {
  return fmt::format("{}, gamma {}, rise {}, divisors {} {}, warm-up {}", format_schedule(s), s.gamma, s.rise,
                     s.start_divisor, s.end_divisor, s.warmup_epochs);
}

/// The text a checkpoint keeps so that it cannot be continued with other settings.
std::string fingerprint(const Network& net, const TrainOptions& o, int64_t steps) {
  const Sgd* sgd = std::get_if<Sgd>(&o.optimiser);
  const Adam* adam = std::get_if<Adam>(&o.optimiser);
  const std::string rule =
      sgd ? fmt::format("sgd {} {} {} {}", sgd->lr, sgd->momentum, sgd->weight_decay, sgd->nesterov)
          : fmt::format("adam {} {} {} {} {}", adam->lr, adam->beta1, adam->beta2, adam->eps, adam->weight_decay);
  std::string layers;  // their bits above all
  for (int node : net.convolutions()) layers += ", " + net.nodes()[static_cast<size_t>(node)].op->describe();
  return fmt::format("{} {} steps, {}, batch {}, seed {}, {}, {}, clip {}, smoothing {}{}{}", net.name(), steps,
                     name_of(o.precision), o.batch, o.seed, rule, describe(o.schedule), o.clip_gradients,
                     o.label_smoothing, o.device != nullptr ? ", on a device" : "", layers);
}

bool all_finite(const Tensor& t) {
  const Tensor numbers = t.to(DType::F32);
  const float* v = numbers.data<float>();
  return std::all_of(v, v + t.stored(), [](float x) { return std::isfinite(x); });
}

std::string not_finite(int64_t step, const std::string& what) {
  return fmt::format("[train] step {}: {} is not finite; try a lower --lr, or --clip", step, what);
}

}  // namespace

Trainer::Trainer(Network& net, const data::Dataset& train, const data::Normalization& normalization,
                 const TrainOptions& options)
    : net_(net),
      options_(options),
      loader_(train, normalization, {.batch_size = options.batch, .seed = options.seed, .training = true}),
      optimiser_(net.parameters(), options.optimiser) {
  if (!std::isfinite(options.epochs) || options.epochs < 0 || options.epochs > 1e6) {
    input_error("train", "epochs: wanted 0..1000000, got {}", options.epochs);
  }
  if (!(options.label_smoothing >= 0 && options.label_smoothing < 1)) {
    input_error("train", "label smoothing: wanted 0 <= s < 1, got {}", options.label_smoothing);
  }
  if (!(options.clip_gradients >= 0)) {
    input_error("train", "clip: wanted a norm above 0, or 0 for no limit, got {}", options.clip_gradients);
  }
  if (options.precision == DType::F64) input_error("train", "precision: wanted F32 or BF16, got F64");
  check_schedule(options.schedule);
  if (train.height() != net.input_shape()[0] || train.width() != net.input_shape()[1]) {
    input_error("train", "images: the network takes {}x{}, the data has {}x{}", net.input_shape()[0],
                net.input_shape()[1], train.height(), train.width());
  }
  if (train.classes() > net.classes()) {
    input_error("train", "classes: the network has {}, the data {}", net.classes(), train.classes());
  }
  if (options.device != nullptr) {
    if (options.precision != DType::BF16) input_error("train", "precision: wanted bf16 on a device, got fp32");
    on_device_ = std::make_unique<DeviceNetwork>(net, *options.device, options.optimiser);
    // Images in memory lie on the device and are augmented there; others come from the loader.
    const auto* source = dynamic_cast<const data::MemorySource*>(&train.source());
    images_on_device_ = source != nullptr;
    if (images_on_device_) on_device_->keep_images(*source, normalization);
  }
  steps_ = steps_in(options.epochs);
}
Trainer::~Trainer() = default;

int64_t Trainer::steps_in(double epochs) const {
  if (epochs <= 0) return 0;
  return std::max<int64_t>(1, std::llround(epochs * static_cast<double>(steps_per_epoch())));
}

StepReport Trainer::advance() {
  KB_CHECK(!done());
  const int64_t epoch = step_ / steps_per_epoch(), index = step_ % steps_per_epoch();
  const double lr =
      learning_rate(options_.schedule, learning_rate(options_.optimiser), step_, steps_, steps_per_epoch());
  kept_weights_.reset();
  if (on_device_) return advance_on_device(epoch, index, lr);
  const data::Batch batch = loader_.batch(epoch, index);
  optimiser_.clear_gradients();
  const RunContext context{
      .training = true, .precision = options_.precision, .seed = options_.seed, .step = static_cast<uint64_t>(step_)};
  const Var logits = net_.forward(batch.images, context);
  const Var loss = softmax_cross_entropy(logits, batch.labels, options_.label_smoothing);

  StepReport report;
  report.loss = static_cast<double>(loss.value().data<float>()[0]);
  report.images = static_cast<int64_t>(batch.labels.size());
  report.correct = count_correct(logits.value(), batch.labels, 1);
  report.lr = lr;
  if (!std::isfinite(report.loss)) throw NumericalError(describe_first_non_finite(batch.images, true));

  backward(loss);
  const double limit = options_.clip_gradients > 0 ? options_.clip_gradients : std::numeric_limits<double>::infinity();
  if (!std::isfinite(optimiser_.clip_gradients(limit)))
    throw NumericalError(describe_first_non_finite(batch.images, true));
  optimiser_.step(report.lr);
  ++step_;
  return report;
}

StepReport Trainer::advance_on_device(int64_t epoch, int64_t index, double lr) {
  try {
    DeviceLoss seen;
    if (images_on_device_) {
      seen = on_device_->train(loader_.picks(epoch, index), options_.label_smoothing, lr, options_.clip_gradients);
    } else {
      const data::Batch batch = loader_.batch(epoch, index);
      seen = on_device_->train(batch.images, batch.labels, options_.label_smoothing, lr, options_.clip_gradients);
    }
    ++step_;
    return {.loss = seen.loss, .correct = seen.correct, .images = seen.images, .lr = lr};
  } catch (const NumericalError&) {  // this processor finds out where
    fetch();
    throw NumericalError(describe_first_non_finite(loader_.batch(epoch, index).images, true));
  }
}

void Trainer::fetch() {
  if (on_device_) on_device_->fetch();
}

Tensor Trainer::classify(const Tensor& images) {
  if (on_device_) return on_device_->forward(images);
  if (!kept_weights_) kept_weights_ = std::make_unique<ConvWeightCache>();
  return net_.forward(images, {.precision = options_.precision, .weights = kept_weights_.get()}).value();
}

Accuracy Trainer::evaluate(const data::Dataset& dataset, const data::Normalization& normalization, int64_t batch) {
  Tensor last;
  try {
    return nn::evaluate([&](const Tensor& images) { return classify(last = images); }, dataset, normalization, batch);
  } catch (const NumericalError&) {
    fetch();
    throw NumericalError(describe_first_non_finite(last, false));
  }
}

std::string Trainer::describe_first_non_finite(const Tensor& images, bool training) {
  std::string found;
  for (const Parameter& p : net_.parameters()) {
    if ((p.var.requires_grad() || !training) && !all_finite(p.var.value())) {
      return not_finite(step_, p.name);
    }
  }
  Network copy = net_.clone();  // running statistics must not move again
  RunContext context{.training = training,
                     .precision = options_.precision,
                     .seed = options_.seed,
                     .step = static_cast<uint64_t>(step_)};
  context.observe = [&](const Node& node, const Tensor& output) {
    if (found.empty() && !all_finite(output)) found = node.name;
  };
  copy.forward(images, context);
  if (!found.empty()) return not_finite(step_, "the output of " + found);
  for (const Parameter& p : net_.parameters()) {
    if (training && p.var.requires_grad() && p.var.grad().defined() && !all_finite(p.var.grad())) {
      return not_finite(step_, "the gradient of " + p.name);
    }
  }
  return not_finite(step_, "the loss");
}

void Trainer::save(const std::filesystem::path& path, const std::map<std::string, std::string>& notes) const {
  std::map<std::string, std::string> meta;
  for (const auto& [key, value] : notes) meta["note." + key] = value;
  meta["run"] = fingerprint(net_, options_, steps_);
  meta["step"] = fmt::format("{}", step_);
  std::map<std::string, Tensor> state = optimiser_.state();
  if (on_device_) {
    on_device_->fetch();
    for (auto& [name, velocity] : on_device_->velocities()) state[name] = velocity;
  }
  for (const Parameter& p : net_.parameters())
    if (!all_finite(p.var.value())) throw NumericalError(not_finite(step_, p.name));
  for (const auto& [name, tensor] : state)
    if (!all_finite(tensor)) throw NumericalError(not_finite(step_, "the optimiser's " + name));
  save_checkpoint(path, net_, state, meta);
}

std::map<std::string, std::string> Trainer::restore(const std::filesystem::path& path) {
  Network loaded = net_.clone();  // so that nothing has changed when the file turns out to be the wrong one
  Checkpoint checkpoint = load_checkpoint(path, loaded);
  const std::string run = fingerprint(net_, options_, steps_);
  if (checkpoint.meta["run"] != run) {
    input_error(path.string(), "the checkpoint is of another run: wanted \"{}\", got \"{}\"", run,
                checkpoint.meta["run"]);
  }
  const int64_t step = parse_int(checkpoint.meta["step"], 0, steps_, path.string() + ": step");
  optimiser_.load_state(checkpoint.optimiser_state);
  for (size_t i = 0; i < net_.parameters().size(); ++i) {
    net_.parameters()[i].var.value().copy_from(loaded.parameters()[i].var.value());
  }
  kept_weights_.reset();
  if (on_device_) {
    on_device_->upload();
    on_device_->set_velocities(checkpoint.optimiser_state);
  }
  step_ = step;
  std::map<std::string, std::string> notes;
  for (const auto& [key, value] : checkpoint.meta) {
    if (key.starts_with("note.")) notes[key.substr(5)] = value;
  }
  return notes;
}

DType fastest_precision() { return native_bf16() ? DType::BF16 : DType::F32; }

Accuracy evaluate(const std::function<Tensor(const Tensor&)>& classify, const data::Dataset& dataset,
                  const data::Normalization& normalization, int64_t batch,
                  const std::function<void(int64_t, int64_t)>& progress, const std::atomic<bool>* stop) {
  const auto start = std::chrono::steady_clock::now();
  data::Loader loader(dataset, normalization, {.batch_size = batch, .seed = 0, .training = false});
  Accuracy result;
  int64_t top1 = 0, top5 = 0;
  double loss = 0;
  for (int64_t i = 0; i < loader.batches(); ++i) {
    if (stop && *stop) throw Stopped("[evaluate] stopped");
    const data::Batch b = loader.batch(0, i);
    const Tensor logits = classify(b.images);
    const auto n = static_cast<int64_t>(b.labels.size());
    top1 += count_correct(logits, b.labels, 1);
    top5 += count_correct(logits, b.labels, 5);
    const double of_batch = softmax_cross_entropy_forward(logits, b.labels).data<float>()[0];
    if (!std::isfinite(of_batch)) throw NumericalError("[evaluate] the loss is not finite");
    loss += of_batch * static_cast<double>(n);
    result.images += n;
    if (progress) progress(result.images, dataset.size());
  }
  const auto images = static_cast<double>(result.images);
  result.top1 = static_cast<double>(top1) / images;
  result.top5 = static_cast<double>(top5) / images;
  result.loss = loss / images;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

Accuracy evaluate(Network& net, const data::Dataset& dataset, const data::Normalization& normalization, int64_t batch,
                  const std::function<void(int64_t, int64_t)>& progress, const std::atomic<bool>* stop, DType precision,
                  Device* device) {
  if (device != nullptr) {
    DeviceNetwork there(net, *device);
    return evaluate([&](const Tensor& images) { return there.forward(images); }, dataset, normalization, batch,
                    progress, stop);
  }
  ConvWeightCache weights;
  const RunContext context{.precision = precision, .weights = &weights};
  return evaluate([&](const Tensor& images) { return net.forward(images, context).value(); }, dataset, normalization,
                  batch, progress, stop);
}

}  // namespace kronbit::nn
