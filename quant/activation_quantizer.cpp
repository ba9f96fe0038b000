// Block floating point: rows are cut into blocks for the kernels of quant/kernels/activations.
#include <algorithm>
#include <cmath>

#include "quant/kernels/activations/kernels.h"
#include "tensor/bits.h"
#include "tensor/parallel.h"

namespace kronbit::quant {
namespace {

constexpr int64_t kUnit = 16;  // the kernels take multiples of it

/// Calls whole(begin, count, block) for stretches of numbers the kernels take as they are, and odd(begin, n) for blocks
/// they do not.
template <class Whole, class Odd>
void cut_into_blocks(int64_t rows, int64_t pitch, int64_t channels, int64_t block, const Whole& whole, const Odd& odd) {
  if (block >= channels) block = pitch;  // the padding is zero and changes no step
  if (pitch % kUnit == 0 && block % kUnit == 0) {
    if (pitch % block == 0) return whole(int64_t{0}, rows * pitch, block);
    for (int64_t r = 0; r < rows; ++r) whole(r * pitch, pitch, block);
    return;
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < channels; c += block) odd(r * pitch + c, std::min(block, channels - c));
}

/// What odd blocks do not cover, and what an infinite block turned into NaN.
template <class T>
void clear_padding(T* x, int64_t rows, int64_t pitch, int64_t channels) {
  if (channels == pitch) return;
  for (int64_t r = 0; r < rows; ++r) std::fill(x + r * pitch + channels, x + (r + 1) * pitch, T());
}

/// Calls rows(begin, count) on several threads.
template <class Rows>
void for_ranges_of_rows(const Tensor& x, const ActivationFormat& format, const Rows& rows) {
  check_bits("quantizer", {format.bits}, 1);
  check_block(format.block);
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, x.pitch()));
  parallel_for(x.rows(), grain, [&](int64_t begin, int64_t end) { rows(begin, end - begin); });
}

/// Calls f.template operator()<T>() with the number type of an activation.
template <class F>
void visit_storage(DType type, const F& f) {
  if (type == DType::BF16) return f.template operator()<bf16>();
  KB_CHECK(type == DType::F32);
  f.template operator()<float>();
}

template <class T>
QuantizeBlocks<T> quantize_kernel() {
  if constexpr (sizeof(T) == 4) return best_activation_kernels().quantize_f32;
  if constexpr (sizeof(T) == 2) return best_activation_kernels().quantize_bf16;
}
template <class T>
MaskBlocks<T> mask_kernel() {
  if constexpr (sizeof(T) == 4) return best_activation_kernels().mask_f32;
  if constexpr (sizeof(T) == 2) return best_activation_kernels().mask_bf16;
}

}  // namespace

template <class T>
void quantize_rows(const T* x, T* y, int64_t rows, int64_t pitch, int64_t channels, const ActivationFormat& format) {
  const auto kernel = quantize_kernel<T>();
  static thread_local std::vector<T> padded;  // an odd block with zeros behind it, which change no step
  cut_into_blocks(
      rows, pitch, channels, format.block,
      [&](int64_t begin, int64_t count, int64_t block) { kernel(x + begin, y + begin, count, block, format); },
      [&](int64_t begin, int64_t n) {
        padded.assign(static_cast<size_t>(round_up(n, kUnit)), T());
        std::copy_n(x + begin, n, padded.begin());
        const auto size = static_cast<int64_t>(padded.size());
        kernel(padded.data(), padded.data(), size, size, format);
        std::copy_n(padded.begin(), n, y + begin);
      });
  clear_padding(y, rows, pitch, channels);
}

template <class T>
void quantize_rows_backward(const T* dy, const T* x, T* dx, int64_t rows, int64_t pitch, int64_t channels,
                            const ActivationFormat& format) {
  const auto kernel = mask_kernel<T>();
  std::vector<T> padded, gradient;
  cut_into_blocks(
      rows, pitch, channels, format.block,
      [&](int64_t begin, int64_t count, int64_t block) {
        kernel(dy + begin, x + begin, dx + begin, count, block, format);
      },
      [&](int64_t begin, int64_t n) {
        padded.assign(static_cast<size_t>(round_up(n, kUnit)), T());
        gradient.assign(padded.size(), T());
        std::copy_n(x + begin, n, padded.begin());
        std::copy_n(dy + begin, n, gradient.begin());
        const auto size = static_cast<int64_t>(padded.size());
        kernel(gradient.data(), padded.data(), gradient.data(), size, size, format);
        std::copy_n(gradient.begin(), n, dx + begin);
      });
  clear_padding(dx, rows, pitch, channels);
}

template void quantize_rows(const float*, float*, int64_t, int64_t, int64_t, const ActivationFormat&);
template void quantize_rows(const bf16*, bf16*, int64_t, int64_t, int64_t, const ActivationFormat&);
template void quantize_rows_backward(const float*, const float*, float*, int64_t, int64_t, int64_t,
                                     const ActivationFormat&);
template void quantize_rows_backward(const bf16*, const bf16*, bf16*, int64_t, int64_t, int64_t,
                                     const ActivationFormat&);

Tensor quantize_activations(const Tensor& x, const ActivationFormat& format) {
  Tensor y = Tensor::uninitialized_like(x);
  visit_storage(x.dtype(), [&]<class T>() {
    const T* from = x.data<T>();
    T* to = y.data<T>();
    for_ranges_of_rows(x, format, [&](int64_t begin, int64_t count) {
      const int64_t at = begin * x.pitch();
      quantize_rows(from + at, to + at, count, x.pitch(), x.cols(), format);
    });
  });
  return y;
}

Tensor quantize_activations_backward(const Tensor& dy, const Tensor& x, const ActivationFormat& format) {
  KB_CHECK(dy.shape() == x.shape() && dy.pitch() == x.pitch());
  Tensor dx = Tensor::uninitialized_like(x);
  visit_storage(x.dtype(), [&]<class T>() {
    const T *gradient = dy.data<T>(), *from = x.data<T>();
    T* to = dx.data<T>();
    for_ranges_of_rows(x, format, [&](int64_t begin, int64_t count) {
      const int64_t at = begin * x.pitch();
      quantize_rows_backward(gradient + at, from + at, to + at, count, x.pitch(), x.cols(), format);
    });
  });
  return dx;
}

QuantizedActivations activation_mantissas(const Tensor& x, const ActivationFormat& format) {
  check_block(format.block);
  QuantizedActivations q;
  q.channels = x.cols();
  q.blocks = (q.channels + format.block - 1) / format.block;
  q.mantissas.resize(static_cast<size_t>(x.rows() * q.channels));
  q.exponents.resize(static_cast<size_t>(x.rows() * q.blocks));
  const Tensor y = quantize_activations(x, format);
  visit_storage(x.dtype(), [&]<class T>() {
    for (int64_t r = 0; r < x.rows(); ++r) {
      for (int64_t k = 0; k < q.blocks; ++k) {
        const int64_t first = k * format.block, n = std::min(format.block, q.channels - first);
        const int exponent = activation_step(x.row<T>(r) + first, n, format).exponent;
        q.exponents[static_cast<size_t>(r * q.blocks + k)] = static_cast<int16_t>(exponent);
        for (int64_t i = first; i < first + n; ++i) {
          const double m = std::ldexp(static_cast<double>(y.row<T>(r)[i]), -exponent);
          if (!std::isfinite(m))
            throw NumericalError(fmt::format("[quantizer] activation {} of channel {}: {}", r, i, m));
          q.mantissas[static_cast<size_t>(r * q.channels + i)] = static_cast<int16_t>(m);
        }
      }
    }
  });
  return q;
}

}  // namespace kronbit::quant
