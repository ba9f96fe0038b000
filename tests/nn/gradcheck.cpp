#include "tests/nn/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/parallel.h"

namespace kronbit::nn {
namespace {

double& entry(Tensor& t, int64_t i) { return t.row<double>(i / t.cols())[i % t.cols()]; }

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.pitch() == b.pitch() &&
         std::memcmp(a.data<double>(), b.data<double>(), static_cast<size_t>(a.bytes())) == 0;
}

bool padding_is_zero(const Tensor& t) {
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t c = t.cols(); c < t.pitch(); ++c)
      if (t.row<double>(r)[c] != 0) return false;
  return true;
}

struct Run {
  Tensor value;
  std::vector<Tensor> grads;  // undefined where f does not depend on the input
};

/// f at copies of the inputs (f may change running statistics), and its gradients for the projection on `direction`.
Run run(const GradCase& c, const Tensor& direction) {
  std::vector<Var> inputs;
  for (const Tensor& t : c.inputs) inputs.emplace_back(t.clone(), true);
  Var y = c.f(inputs);
  Run result{y.value(), {}};
  if (direction.defined()) {
    backward(y, direction.clone());
    for (Var& v : inputs) result.grads.push_back(v.grad());
  }
  return result;
}

Tensor value_at(const GradCase& c, size_t input, int64_t index, double x) {
  GradCase moved = c;
  moved.inputs[input] = c.inputs[input].clone();
  entry(moved.inputs[input], index) = x;
  return run(moved, Tensor()).value;
}

double numeric_derivative(const GradCase& c, const Tensor& direction, size_t input, int64_t index) {
  constexpr double kStep = 1e-5;
  Tensor at = c.inputs[input];
  const double x = entry(at, index);
  const Tensor above = value_at(c, input, index, x + kStep), below = value_at(c, input, index, x - kStep);
  double sum = 0;
  for (int64_t i = 0; i < direction.stored(); ++i)
    sum += direction.data<double>()[i] * (above.data<double>()[i] - below.data<double>()[i]);
  return sum / (2 * kStep);
}

std::string compare_input(const GradCase& c, const Run& analytic, const Tensor& direction, size_t input,
                          int64_t sample) {
  Tensor grad = analytic.grads[input];
  if (!grad.defined()) return fmt::format("{}: input {} got no gradient", c.name, input);
  if (!padding_is_zero(grad)) return fmt::format("{}: gradient {} has non-zero padding", c.name, input);
  const int64_t count = grad.count(), step = std::max<int64_t>(1, count / sample);
  double scale = 1, worst = 0;
  std::string message;
  std::vector<std::pair<int64_t, double>> numeric;
  for (int64_t i = 0; i < count; i += step) {
    numeric.emplace_back(i, numeric_derivative(c, direction, input, i));
    scale = std::max(scale, std::abs(numeric.back().second));
  }
  for (const auto& [i, wanted] : numeric) {
    const double error = std::abs(entry(grad, i) - wanted);
    if (error <= worst) continue;  // a NaN goes on
    worst = error;
    if (!(error <= c.tolerance * scale)) {
      message =
          fmt::format("{}: d/d(input {})[{}]: wanted {:.10g}, got {:.10g}", c.name, input, i, wanted, entry(grad, i));
    }
    if (std::isnan(error)) break;
  }
  return message;
}

}  // namespace

std::string gradient_error(const GradCase& c, int64_t sample) {
  const int before = threads();
  set_threads(1);
  Tensor direction = Tensor::zeros_like(run(c, Tensor()).value);
  fill_normal(direction, 4711);
  const Run one = run(c, direction);
  set_threads(3);
  const Run three = run(c, direction);
  set_threads(before);

  if (!padding_is_zero(one.value)) return fmt::format("{}: the output has non-zero padding", c.name);
  if (!same_bits(one.value, three.value)) return fmt::format("{}: the output depends on the threads", c.name);
  for (size_t k = 0; k < c.inputs.size(); ++k) {
    const std::string error = compare_input(c, one, direction, k, sample);
    if (!error.empty()) return error;
    if (!same_bits(one.grads[k], three.grads[k]))
      return fmt::format("{}: gradient {} depends on the threads", c.name, k);
  }
  return "";
}

}  // namespace kronbit::nn
