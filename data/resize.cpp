// Resizing and cropping of data/image.h.
#include <algorithm>
#include <cmath>

#include "data/image.h"

namespace kronbit::data {
namespace {

/// The input samples behind one output sample: first, first + 1, ... with weights that sum to 1.
struct Taps {
  int64_t first = 0;
  std::vector<double> weights;
};

/// Part of an axis of a resized image: `count` samples from `first` on, of `full` that `in` samples become.
struct Window {
  int64_t full, first, count;
};

/// A triangle around each output sample's centre, one output sample wide on either side when the axis shrinks, one
/// input sample when it grows.
std::vector<Taps> axis_taps(int64_t in, const Window& window) {
  const double scale = static_cast<double>(in) / static_cast<double>(window.full);
  const double reach = std::max(1.0, scale);
  std::vector<Taps> all(static_cast<size_t>(window.count));
  for (int64_t o = 0; o < window.count; ++o) {
    Taps& taps = all[static_cast<size_t>(o)];
    const double centre = (static_cast<double>(window.first + o) + 0.5) * scale;
    taps.first = std::max<int64_t>(0, static_cast<int64_t>(centre - reach + 0.5));
    const int64_t end = std::min(in, static_cast<int64_t>(centre + reach + 0.5));
    double sum = 0;
    for (int64_t i = taps.first; i < end; ++i) {
      const double weight = std::max(0.0, 1 - std::abs(static_cast<double>(i) + 0.5 - centre) / reach);
      taps.weights.push_back(weight);
      sum += weight;
    }
    for (double& weight : taps.weights) weight /= sum;
  }
  return all;
}

/// Output pixel (o, k) = sum over taps t of input pixel (first + t, k); `step` numbers from one o (or i) to the next.
void blend(const Taps& taps, const uint8_t* in, int64_t step, uint8_t* out) {
  double sum[3] = {0.5, 0.5, 0.5};  // rounds to nearest
  for (size_t t = 0; t < taps.weights.size(); ++t) {
    const uint8_t* pixel = in + (taps.first + static_cast<int64_t>(t)) * step;
    for (int c = 0; c < 3; ++c) sum[c] += taps.weights[t] * pixel[c];
  }
  for (int c = 0; c < 3; ++c) out[c] = static_cast<uint8_t>(std::min(255.0, sum[c]));
}

Image resize_window(const Image& image, const Window& rows, const Window& columns) {
  Image narrow{image.height, columns.count,
               std::vector<uint8_t>(static_cast<size_t>(image.height * columns.count * 3))};
  const std::vector<Taps> across = axis_taps(image.width, columns);
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < columns.count; ++x) {
      blend(across[static_cast<size_t>(x)], image.rgb.data() + y * image.width * 3, 3,
            narrow.rgb.data() + (y * columns.count + x) * 3);
    }
  }
  Image result{rows.count, columns.count, std::vector<uint8_t>(static_cast<size_t>(rows.count * columns.count * 3))};
  const std::vector<Taps> down = axis_taps(image.height, rows);
  for (int64_t y = 0; y < rows.count; ++y) {
    for (int64_t x = 0; x < columns.count; ++x) {
      blend(down[static_cast<size_t>(y)], narrow.rgb.data() + x * 3, columns.count * 3,
            result.rgb.data() + (y * columns.count + x) * 3);
    }
  }
  return result;
}

}  // namespace

Image resize(const Image& image, int64_t height, int64_t width) {
  KB_CHECK(height >= 1 && width >= 1 && image.height >= 1 && image.width >= 1);
  return resize_window(image, {height, 0, height}, {width, 0, width});
}

Image crop(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width) {
  KB_CHECK(top >= 0 && left >= 0 && top + height <= image.height && left + width <= image.width);
  Image result{height, width, std::vector<uint8_t>(static_cast<size_t>(height * width * 3))};
  for (int64_t y = 0; y < height; ++y) {
    std::copy_n(image.rgb.data() + ((top + y) * image.width + left) * 3, width * 3, result.rgb.data() + y * width * 3);
  }
  return result;
}

Image fit(const Image& image, int64_t height, int64_t width) {
  KB_CHECK(height >= 1 && width >= 1 && image.height >= 1 && image.width >= 1);
  if (image.height == height && image.width == width) return image;
  int64_t full_h = (height * 256 + 112) / 224, full_w = (width * 256 + 112) / 224;  // to be covered
  if (full_h * image.width >= full_w * image.height) {
    full_w = full_h * image.width / image.height;
  } else {
    full_h = full_w * image.height / image.width;
  }
  const auto centred = [](int64_t full, int64_t count) {
    return Window{full, std::lrint(static_cast<double>(full - count) / 2), count};  // half to even, as Python's round
  };
  return resize_window(image, centred(full_h, height), centred(full_w, width));
}

}  // namespace kronbit::data
