#include "nn/optim.h"

#include <fmt/ranges.h>

#include <cmath>

#include "tensor/parallel.h"
#include "tensor/rows/rows.h"

namespace kronbit::nn {
namespace {

constexpr int64_t kGrain = 1 << 16;

void check_options(const OptimiserOptions& options) {
  const auto check = [](std::string_view where, std::string_view what, double value, double below) {
    if (!(value >= 0 && value < below))
      input_error(where, "{}: wanted a number from 0 up to, not including, {}, got {}", what, below, value);
  };
  if (const Sgd* sgd = std::get_if<Sgd>(&options)) {
    check("sgd", "lr", sgd->lr, INFINITY);
    check("sgd", "momentum", sgd->momentum, 1);
    check("sgd", "weight_decay", sgd->weight_decay, INFINITY);
    if (sgd->nesterov && sgd->momentum == 0) input_error("sgd", "nesterov: wanted a momentum above 0, got 0");
  } else {
    const Adam& adam = std::get<Adam>(options);
    check("adam", "lr", adam.lr, INFINITY);
    check("adam", "beta1", adam.beta1, 1);
    check("adam", "beta2", adam.beta2, 1);
    check("adam", "eps", adam.eps, INFINITY);
    check("adam", "weight_decay", adam.weight_decay, INFINITY);
  }
}

void sgd_step(const Sgd& options, double learning_rate, Tensor& parameter, const Tensor& gradient, Tensor& velocity) {
  const SgdStep step{.lr = static_cast<float>(learning_rate),
                     .momentum = static_cast<float>(options.momentum),
                     .decay = static_cast<float>(options.weight_decay),
                     .nesterov = options.nesterov};
  const float* grad = gradient.data<float>();
  float* p = parameter.data<float>();
  float* v = velocity.defined() ? velocity.data<float>() : nullptr;
  parallel_for(parameter.stored(), kGrain, [&](int64_t begin, int64_t end) {
    float_kernels().sgd(end - begin, step, grad + begin, p + begin, v ? v + begin : nullptr);
  });
}

void adam_step(const Adam& options, double learning_rate, int64_t t, Tensor& parameter, const Tensor& gradient,
               Tensor& first, Tensor& second) {
  const double steps = static_cast<double>(t);
  const AdamStep step{.size = static_cast<float>(learning_rate / (1 - std::pow(options.beta1, steps))),
                      .root = static_cast<float>(std::sqrt(1 - std::pow(options.beta2, steps))),
                      .rest1 = static_cast<float>(1 - options.beta1),
                      .beta2 = static_cast<float>(options.beta2),
                      .rest2 = static_cast<float>(1 - options.beta2),
                      .eps = static_cast<float>(options.eps),
                      .decay = static_cast<float>(options.weight_decay)};
  const float* grad = gradient.data<float>();
  float *p = parameter.data<float>(), *m = first.data<float>(), *v = second.data<float>();
  parallel_for(parameter.stored(), kGrain, [&](int64_t begin, int64_t end) {
    float_kernels().adam(end - begin, step, grad + begin, p + begin, m + begin, v + begin);
  });
}

}  // namespace

double learning_rate(const OptimiserOptions& options) {
  return std::visit([](const auto& chosen) { return chosen.lr; }, options);
}

Optimiser::Optimiser(const std::vector<Parameter>& parameters, const OptimiserOptions& options) : options_(options) {
  check_options(options);
  const Sgd* sgd = std::get_if<Sgd>(&options);
  first_name_ = sgd ? "velocity." : "first_moment.";
  for (const Parameter& p : parameters) {
    if (!p.var.requires_grad()) continue;
    Slot slot{p.name, p.var, {}, {}};
    if (!sgd || sgd->momentum != 0) slot.first = Tensor::zeros_like(p.var.value());
    if (!sgd) slot.second = Tensor::zeros_like(p.var.value());
    slots_.push_back(std::move(slot));
  }
}

void Optimiser::clear_gradients() {
  for (Slot& slot : slots_) slot.var.clear_grad();
}

double Optimiser::clip_gradients(double max_norm) {
  double squares = 0;
  for (const Slot& slot : slots_) {
    if (!slot.var.grad().defined()) continue;
    const float* g = slot.var.grad().data<float>();
    const int64_t n = slot.var.grad().stored();
    std::vector<double> partial(static_cast<size_t>(chunk_count(n, kGrain)), 0.0);
    parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
      partial[static_cast<size_t>(begin / kGrain)] = float_kernels().sum_of_squares(end - begin, g + begin);
    });
    for (double sum : partial) squares += sum;
  }
  const double norm = std::sqrt(squares);
  const auto factor = static_cast<float>(max_norm / (norm + 1e-6));
  if (!(factor < 1)) return norm;
  for (Slot& slot : slots_) {
    if (!slot.var.grad().defined()) continue;
    if (!slot.var.grad().unique()) slot.var.grad() = slot.var.grad().clone();
    float* g = slot.var.grad().data<float>();
    parallel_for(slot.var.grad().stored(), kGrain,
                 [&](int64_t begin, int64_t end) { float_kernels().scale(end - begin, factor, g + begin); });
  }
  return norm;
}

void Optimiser::step(double lr) {
  ++steps_;
  for (Slot& slot : slots_) {
    if (!slot.var.grad().defined()) continue;
    if (const Sgd* sgd = std::get_if<Sgd>(&options_)) {
      sgd_step(*sgd, lr, slot.var.value(), slot.var.grad(), slot.first);
    } else {
      adam_step(std::get<Adam>(options_), lr, steps_, slot.var.value(), slot.var.grad(), slot.first, slot.second);
    }
  }
}

std::map<std::string, Tensor> Optimiser::state() const {
  std::map<std::string, Tensor> state;
  Tensor step = Tensor::zeros({1});
  step.data<float>()[0] = static_cast<float>(steps_);  // exact up to 2^24 steps
  state["step"] = step;
  for (const Slot& slot : slots_) {
    if (slot.first.defined()) state[first_name_ + slot.name] = slot.first.clone();
    if (slot.second.defined()) state["second_moment." + slot.name] = slot.second.clone();
  }
  return state;
}

void Optimiser::load_state(const std::map<std::string, Tensor>& state) {
  std::map<std::string, Tensor> wanted = this->state();
  std::vector<std::string> problems;
  for (const auto& [name, tensor] : wanted) {
    const auto it = state.find(name);
    if (it == state.end()) {
      problems.push_back(fmt::format("{} is missing", name));
    } else if (!(it->second.shape() == tensor.shape())) {
      problems.push_back(fmt::format("{}: wanted {}, got {}", name, tensor.shape().text(), it->second.shape().text()));
    }
  }
  for (const auto& entry : state)
    if (!wanted.contains(entry.first)) problems.push_back(fmt::format("{} is not used", entry.first));
  const auto it = state.find("step");
  double step = 0;
  if (it != state.end() && it->second.count() == 1) {
    step = it->second.to(DType::F64).data<double>()[0];
    if (!(step >= 0 && step < 0x1p53 && step == std::floor(step)))
      problems.push_back(fmt::format("step: wanted a whole number, got {}", step));
  }
  if (!problems.empty()) input_error("optimiser", "state: {}", fmt::join(problems, "; "));
  steps_ = static_cast<int64_t>(step);
  for (Slot& slot : slots_) {
    if (slot.first.defined()) slot.first.copy_from(state.at(first_name_ + slot.name).to(DType::F32));
    if (slot.second.defined()) slot.second.copy_from(state.at("second_moment." + slot.name).to(DType::F32));
  }
}

}  // namespace kronbit::nn
