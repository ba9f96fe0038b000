#include "quant/kernels/dense/dense.h"

namespace kronbit::quant {

std::vector<float> dense_panels(const float* w, int64_t outputs, int64_t channels, int64_t taps) {
  const int64_t depth = taps * channels, lanes = (outputs + 31) / 32 * 32;
  std::vector<float> panels(static_cast<size_t>(lanes * depth), 0.0f);
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t c = 0; c < channels; ++c)
        panels[static_cast<size_t>((o / 16 * depth + t * channels + c) * 16 + o % 16)] =
            w[(o * channels + c) * taps + t];
  return panels;
}

}  // namespace kronbit::quant
