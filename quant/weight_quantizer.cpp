// Blocks of weights as integers and a multiplier; each filter is first turned to [ky][kx][C], so that a block is
// contiguous.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "quant/quantizer.h"
#include "tensor/bits.h"
#include "tensor/io/text.h"
#include "tensor/parallel.h"

namespace kronbit::quant {
namespace {

constexpr float kSmallestExtreme = 0x1p-120f;  // 128 / kSmallestExtreme is still a float
// Adding and subtracting 1.5 * 2^23 rounds |x| < 2^22 to the nearest integer, half to even: floats have no fraction
// bits there.
constexpr float kRound = 12582912.0f;
constexpr int64_t kLanes = 8;  // partial sums of a block

// The element of largest magnitude, of two the positive one; infinite when there is an infinity or a NaN. Positive
// floats compare as the integers their bits are, negative ones with the sign bit turned over.
float extreme_of(const float* w, int64_t n) {
  int32_t highest = 0, lowest = 0;
#pragma omp simd reduction(max : highest, lowest)
  for (int64_t i = 0; i < n; ++i) {
    const int32_t bits = std::bit_cast<int32_t>(w[i]);
    const int32_t turned = bits ^ std::numeric_limits<int32_t>::min();
    highest = bits > highest ? bits : highest;
    lowest = turned > lowest ? turned : lowest;
  }
  const int32_t top = highest >= lowest ? highest : lowest;
  if (top >= std::bit_cast<int32_t>(std::numeric_limits<float>::infinity()))
    return std::numeric_limits<float>::infinity();
  return highest >= lowest ? std::bit_cast<float>(top) : -std::bit_cast<float>(top);
}

float multiplier_of(const float* w, const float* q, int64_t n) {
  double wq[kLanes] = {}, qq[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
#pragma omp simd
    for (int64_t k = 0; k < kLanes; ++k) {
      wq[k] += static_cast<double>(w[i + k]) * static_cast<double>(q[i + k]);
      qq[k] += static_cast<double>(q[i + k]) * static_cast<double>(q[i + k]);
    }
  }
  for (int64_t k = 0; i < n; ++i, ++k) {
    wq[k] += static_cast<double>(w[i]) * static_cast<double>(q[i]);
    qq[k] += static_cast<double>(q[i]) * static_cast<double>(q[i]);
  }
  double numerator = 0, denominator = 0;
  for (int64_t k = 0; k < kLanes; ++k) {
    numerator += wq[k];
    denominator += qq[k];
  }
  return denominator == 0 ? 0.0f : static_cast<float>(numerator / denominator);
}

// The integers of one block, as floats. Returns the multiplier.
float quantize_block(const float* w, float* q, int64_t n, int bits, Mode mode) {
  const float extreme = extreme_of(w, n);
  const float levels = static_cast<float>(1 << (bits - 1));
  const bool finite = std::isfinite(extreme), zero = std::fabs(extreme) < kSmallestExtreme;
  if (mode == Mode::Binary) {
    for (int64_t i = 0; i < n; ++i) q[i] = w[i] < 0 ? -1.0f : 1.0f;
  } else if (zero || !finite) {
    std::fill(q, q + n, 0.0f);
  } else if (mode == Mode::SignedExtreme) {
    const float s = -levels / extreme;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      float r = (s * w[i] + kRound) - kRound;
      r = r < -levels ? -levels : r;
      q[i] = r > levels - 1 ? levels - 1 : r;
    }
  } else {
    for (int64_t i = 0; i < n; ++i)
      q[i] = std::clamp(std::floor(w[i] / std::fabs(extreme) * levels), -levels, levels - 1);
  }
  if (!finite) return std::numeric_limits<float>::quiet_NaN();
  return zero ? 0.0f : multiplier_of(w, q, n);
}

// Calls use(o, first block of o, w, q, multipliers) for every output channel: w and q are [kh*kw][C].
template <class Use>
void for_each_filter(const Tensor& w, int bits, Mode mode, int64_t block, const Use& use) {
  KB_CHECK_EQ(w.shape().rank(), 4);
  check_bits("quantizer", {bits}, 1);
  check_block(block);
  mode = mode_at(mode, bits);
  const int64_t outputs = w.shape()[0], c = w.shape()[1], taps = w.shape()[2] * w.shape()[3];
  const int64_t blocks = (c + block - 1) / block;
  const float* data = w.data<float>();
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, c * taps));
  parallel_for(outputs, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> filter(static_cast<size_t>(c * taps)), q(filter.size());
    std::vector<float> multipliers(static_cast<size_t>(blocks * taps));
    for (int64_t o = begin; o < end; ++o) {
      for (int64_t i = 0; i < c; ++i)
        for (int64_t t = 0; t < taps; ++t) filter[static_cast<size_t>(t * c + i)] = data[(o * c + i) * taps + t];
      for (int64_t t = 0; t < taps; ++t)
        for (int64_t k = 0; k < blocks; ++k) {
          const int64_t at = t * c + k * block;
          multipliers[static_cast<size_t>(t * blocks + k)] =
              quantize_block(filter.data() + at, q.data() + at, std::min(block, c - k * block), bits, mode);
        }
      use(o, q.data(), multipliers.data());
    }
  });
}

// multiplier * q of one filter, [kh*kw][C] -> [C][kh*kw].
template <class Integer>
void dequantize_filter(const Integer* q, const float* multipliers, int64_t c, int64_t taps, int64_t block, float* w) {
  const int64_t blocks = (c + block - 1) / block;
  for (int64_t k = 0; k < blocks; ++k)
    for (int64_t i = k * block; i < std::min(c, (k + 1) * block); ++i)
      for (int64_t t = 0; t < taps; ++t)
        w[i * taps + t] = multipliers[t * blocks + k] * static_cast<float>(q[t * c + i]);
}

}  // namespace

const char* name_of(Mode mode) {
  switch (mode) {
    case Mode::SignedExtreme:
      return "signed-extreme";
    case Mode::Binary:
      return "binary";
    case Mode::PaperFloor:
      return "paper-floor";
  }
  return "?";
}

Mode parse_mode(std::string_view text) {
  for (Mode mode : {Mode::SignedExtreme, Mode::Binary, Mode::PaperFloor})
    if (text == name_of(mode)) return mode;
  input_error("mode", "wanted signed-extreme, binary or paper-floor, got {}", quote(text));
}

Mode mode_at(Mode mode, int bits) {
  if (mode == Mode::Binary && bits != 1) input_error("mode", "binary: wanted 1 bit in every layer, got {}", bits);
  return mode == Mode::SignedExtreme && bits == 1 ? Mode::Binary : mode;
}

void check_block(int64_t block) {
  if (block < 1 || block > 65536) input_error("block", "wanted 1..65536 channels, got {}", block);
}

QuantizedWeights quantize_weights(const Tensor& w, int bits, Mode mode, int64_t block) {
  QuantizedWeights result{w.shape(), bits, mode, block, {}, {}};
  check_block(block);
  result.mode = mode_at(mode, bits);
  const int64_t filter = w.count() / std::max<int64_t>(1, w.shape()[0]);
  const int64_t per_filter = result.blocks_per_position() * w.shape()[2] * w.shape()[3];
  result.integers.resize(static_cast<size_t>(w.count()));
  result.multipliers.resize(static_cast<size_t>(per_filter * w.shape()[0]));
  for_each_filter(w, bits, mode, block, [&](int64_t o, const float* q, const float* multipliers) {
    int8_t* integers = result.integers.data() + o * filter;
    for (int64_t i = 0; i < filter; ++i) integers[i] = static_cast<int8_t>(q[i]);
    std::copy(multipliers, multipliers + per_filter, result.multipliers.data() + o * per_filter);
  });
  return result;
}

Tensor dequantize(const QuantizedWeights& q) {
  Tensor w = Tensor::zeros(q.shape);
  const int64_t c = q.shape[1], taps = q.shape[2] * q.shape[3];
  for (int64_t o = 0; o < q.shape[0]; ++o)
    dequantize_filter(q.integers.data() + o * c * taps, q.multipliers.data() + o * taps * q.blocks_per_position(), c,
                      taps, q.block, w.data<float>() + o * c * taps);
  return w;
}

Tensor fake_quantize_weights(const Tensor& w, int bits, Mode mode, int64_t block) {
  Tensor result = Tensor::uninitialized_like(w);
  const int64_t c = w.shape()[1], taps = w.shape()[2] * w.shape()[3];
  float* data = result.data<float>();
  for_each_filter(w, bits, mode, block, [&](int64_t o, const float* q, const float* multipliers) {
    dequantize_filter(q, multipliers, c, taps, block, data + o * c * taps);
  });
  return result;
}

}  // namespace kronbit::quant
