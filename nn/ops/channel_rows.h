// Row loops shared by the operators with one number per channel.
#pragma once

#include <algorithm>
#include <vector>

#include "tensor/parallel.h"
#include "tensor/rows/rows.h"
#include "tensor/tensor.h"

namespace kronbit::nn {

/// Rows of one chunk: about 2^15 numbers, so that partial sums cost little and a chunk stays in cache.
inline int64_t rows_per_chunk(const Tensor& x) {
  return std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, x.pitch()));
}

/// The rows [begin, end) of x for the loops of tensor/rows, padding lanes included.
inline RowRange row_range(const Tensor& x, int64_t begin, int64_t end) { return {end - begin, x.pitch(), x.pitch()}; }

/// Per-channel numbers as T, with zeros up to `pitch`: padding lanes then need no special case.
template <class T>
std::vector<T> padded_channels(const Tensor& values, int64_t pitch) {
  std::vector<T> padded(static_cast<size_t>(pitch), T(0));
  visit_float(values.dtype(), [&]<class P>() {
    for (int64_t c = 0; c < values.count(); ++c) padded[static_cast<size_t>(c)] = static_cast<T>(values.data<P>()[c]);
  });
  return padded;
}
template <class T>
std::vector<T> padded_channels(const std::vector<double>& values, int64_t pitch) {
  std::vector<T> padded(static_cast<size_t>(pitch), T(0));
  for (size_t c = 0; c < values.size(); ++c) padded[c] = static_cast<T>(values[c]);
  return padded;
}

/// Two sums per channel over all rows.
struct ChannelSums {
  std::vector<double> first, second;  ///< pitch numbers each
  /// The first `channels` sums as a tensor [channels].
  static Tensor tensor(const std::vector<double>& sums, int64_t channels, DType type) {
    Tensor t = Tensor::zeros({channels}, type);
    visit_float(type, [&]<class T>() {
      for (int64_t c = 0; c < channels; ++c) t.data<T>()[c] = static_cast<T>(sums[static_cast<size_t>(c)]);
    });
    return t;
  }
};

/// Calls term(begin, end, first, second), which adds the numbers of those rows to two arrays of x.pitch() sums, for
/// ranges that make up all rows of x.
/// Exactness: the same bits for any number of threads
template <class Term>
ChannelSums sum_rows(const Tensor& x, const Term& term) {
  const int64_t pitch = x.pitch(), grain = rows_per_chunk(x), chunks = chunk_count(x.rows(), grain);
  std::vector<double> partial(static_cast<size_t>(2 * chunks * pitch), 0.0);
  parallel_for(x.rows(), grain, [&](int64_t begin, int64_t end) {
    double* first = partial.data() + 2 * (begin / grain) * pitch;
    term(begin, end, first, first + pitch);
  });
  ChannelSums sums{std::vector<double>(static_cast<size_t>(pitch), 0.0),
                   std::vector<double>(static_cast<size_t>(pitch), 0.0)};
  for (int64_t k = 0; k < chunks; ++k) {
    const double* first = partial.data() + 2 * k * pitch;
    for (int64_t c = 0; c < pitch; ++c) {
      sums.first[static_cast<size_t>(c)] += first[c];
      sums.second[static_cast<size_t>(c)] += first[pitch + c];
    }
  }
  return sums;
}

}  // namespace kronbit::nn
