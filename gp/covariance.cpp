#include "gp/covariance.h"

#include <cmath>

#include "tensor/base/error.h"

namespace kronbit::gp {

Radial radial(Kernel kernel, double squared_distance) {
  switch (kernel) {
    case Kernel::SquaredExponential: {
      const double value = std::exp(-0.5 * squared_distance);
      return {value, value};
    }
    case Kernel::Matern52: {
      const double r = std::sqrt(5.0 * squared_distance), decay = std::exp(-r);
      if (decay == 0.0) return {0.0, 0.0};  // r may be infinite
      return {(1.0 + r + r * r / 3.0) * decay, 5.0 / 3.0 * (1.0 + r) * decay};
    }
  }
  KB_CHECK(false);
  return {0.0, 0.0};
}

double squared_distance(const std::vector<double>& a, const std::vector<double>& b,
                        const std::vector<double>& lengthscales) {
  double sum = 0.0;
  for (size_t d = 0; d < lengthscales.size(); ++d) {
    const double step = (a[d] - b[d]) / lengthscales[d];
    sum += step * step;
  }
  return sum;
}

double covariance(Kernel kernel, const std::vector<double>& a, const std::vector<double>& b,
                  const std::vector<double>& lengthscales) {
  return radial(kernel, squared_distance(a, b, lengthscales)).value;
}

std::vector<double> covariance_gradient(Kernel kernel, const std::vector<double>& a, const std::vector<double>& b,
                                        const std::vector<double>& lengthscales) {
  const double slope = radial(kernel, squared_distance(a, b, lengthscales)).slope;
  std::vector<double> gradient(lengthscales.size());
  for (size_t d = 0; d < lengthscales.size(); ++d) {
    const double step = (a[d] - b[d]) / lengthscales[d];
    gradient[d] = slope * step * step;
  }
  return gradient;
}

}  // namespace kronbit::gp
