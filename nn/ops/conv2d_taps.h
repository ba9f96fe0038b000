// The geometry of a convolution along one axis: which taps of the kernel meet which pixels, and how the work is cut.
// Private to the convolution.
#pragma once

#include <algorithm>
#include <vector>

#include "nn/ops/conv2d.h"

namespace kronbit::nn {

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};
/// The k-th of `parts` almost equal parts of [0, n).
inline Range part(int64_t n, int64_t parts, int64_t k) { return {n * k / parts, n * (k + 1) / parts}; }

/// In one direction: tap number `tap` of the kernel meets pixel `source`.
struct Tap {
  int64_t tap, source;
};
/// For every pixel of the result, its taps that fall inside the source.
using Taps = std::vector<std::vector<Tap>>;

/// y[h] reads x[h * stride - pad + tap].
inline Taps forward_taps(int64_t outputs, int64_t inputs, int64_t kernel, const Conv2dOptions& o) {
  Taps taps(static_cast<size_t>(outputs));
  for (int64_t h = 0; h < outputs; ++h) {
    for (int64_t tap = 0; tap < kernel; ++tap) {
      const int64_t source = h * o.stride - o.pad + tap;
      if (source >= 0 && source < inputs) taps[static_cast<size_t>(h)].push_back({tap, source});
    }
  }
  return taps;
}

/// dx[u] reads dy[(u + pad - tap) / stride] where that is whole: the forward pairs, listed by input.
inline Taps backward_taps(int64_t outputs, int64_t inputs, int64_t kernel, const Conv2dOptions& o) {
  Taps taps(static_cast<size_t>(inputs));
  const Taps forward = forward_taps(outputs, inputs, kernel, o);
  for (int64_t h = 0; h < outputs; ++h) {
    for (const Tap& t : forward[static_cast<size_t>(h)]) taps[static_cast<size_t>(t.source)].push_back({t.tap, h});
  }
  return taps;
}

/// Whether pixel `next` meets the taps of pixel `first`, each `next - first` pixels further on.
inline bool continues(const Taps& taps, int64_t first, int64_t next) {
  const auto &a = taps[static_cast<size_t>(first)], &b = taps[static_cast<size_t>(next)];
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [&](const Tap& s, const Tap& t) {
           return s.tap == t.tap && s.source + next - first == t.source;
         });
}

/// Neighbouring pixels that meet the same taps: in [W][N][C] their images follow each other, so one product can serve
/// them all. At most `most` pixels each.
inline std::vector<Range> runs(const Taps& taps, int64_t most) {
  std::vector<Range> found;
  for (int64_t w = 0; w < static_cast<int64_t>(taps.size()); ++w) {
    if (!found.empty() && found.back().size() < most && continues(taps, found.back().begin, w)) {
      found.back().end = w + 1;
    } else {
      found.push_back({w, w + 1});
    }
  }
  return found;
}

}  // namespace kronbit::nn
