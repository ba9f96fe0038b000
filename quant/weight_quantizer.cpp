// Cuts filters into blocks of channels for the kernels of quant/kernels/weights.
#include <algorithm>

#include "quant/kernels/weights/kernels.h"
#include "tensor/bits.h"
#include "tensor/io/text.h"
#include "tensor/parallel.h"

namespace kronbit::quant {
namespace {

// Calls use(number, result, multipliers) for every filter: result is [C][kh*kw], integers or (multiply) weights,
// multipliers [blocks][kh*kw]; place(number) says where result goes.
template <class Place, class Use>
void for_each_filter(const Tensor& w, int bits, Mode mode, int64_t block, bool multiply, const Place& place,
                     const Use& use) {
  KB_CHECK_EQ(w.shape().rank(), 4);
  check_bits("quantizer", {bits}, 1);
  check_block(block);
  mode = mode_at(mode, bits);
  const int64_t outputs = w.shape()[0], channels = w.shape()[1], taps = w.shape()[2] * w.shape()[3];
  const int64_t blocks = chunk_count(channels, block), count = channels * taps;
  const auto quantize = best_weight_kernels().quantize;
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, count));
  parallel_for(outputs, grain, [&](int64_t begin, int64_t end) {
    WeightScratch scratch(taps);
    std::vector<float> multipliers(static_cast<size_t>(blocks * taps));
    for (int64_t o = begin; o < end; ++o) {
      const float* from = w.data<float>() + o * count;
      float* to = place(o);
      for (int64_t k = 0; k < blocks;) {  // whole blocks, many at a time, then the shorter last one
        const int64_t first = k * block, whole = (channels - first) / block;
        const int64_t groups = std::clamp<int64_t>(whole, 1, most_groups(taps));
        quantize(from + first * taps, to + first * taps, multipliers.data() + k * taps,
                 {groups, std::min(block, channels - first), taps, bits, mode, multiply}, scratch);
        k += groups;
      }
      use(o, to, multipliers.data());
    }
  });
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
  const int64_t channels = w.shape()[1], taps = w.shape()[2] * w.shape()[3], blocks = result.blocks_per_position();
  result.integers.resize(static_cast<size_t>(w.count()));
  result.multipliers.resize(static_cast<size_t>(w.shape()[0] * taps * blocks));
  Tensor integers = Tensor::uninitialized_like(w);
  for_each_filter(
      w, bits, mode, block, false, [&](int64_t o) { return integers.data<float>() + o * channels * taps; },
      [&](int64_t o, const float* q, const float* multipliers) {
        int8_t* to = result.integers.data() + o * channels * taps;
        float* xi = result.multipliers.data() + o * blocks * taps;
        for (int64_t t = 0; t < taps; ++t) {
          for (int64_t c = 0; c < channels; ++c) to[t * channels + c] = static_cast<int8_t>(q[c * taps + t]);
          for (int64_t k = 0; k < blocks; ++k) xi[t * blocks + k] = multipliers[k * taps + t];
        }
      });
  return result;
}

Tensor dequantize(const QuantizedWeights& q) {
  Tensor w = Tensor::zeros(q.shape);
  const int64_t channels = q.shape[1], taps = q.shape[2] * q.shape[3], blocks = q.blocks_per_position();
  const int8_t* integer = q.integers.data();
  const float* multipliers = q.multipliers.data();
  for (int64_t o = 0; o < q.shape[0]; ++o) {
    for (int64_t t = 0; t < taps; ++t, multipliers += blocks) {
      for (int64_t c = 0; c < channels; ++c)
        w.data<float>()[(o * channels + c) * taps + t] = multipliers[c / q.block] * static_cast<float>(*integer++);
    }
  }
  return w;
}

Tensor fake_quantize_weights(const Tensor& w, int bits, Mode mode, int64_t block) {
  Tensor result = Tensor::uninitialized_like(w);
  const int64_t filter = w.count() / std::max<int64_t>(1, w.shape()[0]);
  for_each_filter(
      w, bits, mode, block, true, [&](int64_t o) { return result.data<float>() + o * filter; },
      [](int64_t, const float*, const float*) {});
  return result;
}

}  // namespace kronbit::quant
