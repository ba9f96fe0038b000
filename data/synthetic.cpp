// The procedural data set: ten kinds of shapes and textures, 32 x 32, in random colours, places, sizes and directions,
// on a random background with clutter and noise. Only the structure tells the class: mean colours and fixed places do
// not, so a linear classifier fails. Uses + - * / and square roots only, which gives the same pixels on every machine.
#include <algorithm>
#include <array>
#include <cmath>

#include "data/formats.h"
#include "tensor/parallel.h"

namespace kronbit::data {
namespace {

constexpr int64_t kSide = kSyntheticSide;
constexpr uint64_t kSeed =
    2024;  // of the data set itself: the user's seed draws splits and batches, never other pixels

struct Point {
  double x, y;
};
using Colour = std::array<double, 3>;  // 0..1
using Canvas = std::array<std::array<Colour, kSide>, kSide>;

Point random_direction(Rng& rng) {
  for (;;) {
    const double x = rng.uniform(-1, 1), y = rng.uniform(-1, 1), r = std::sqrt(x * x + y * y);
    if (r > 0.1 && r <= 1) return {x / r, y / r};
  }
}

Colour random_colour(Rng& rng) { return {rng.uniform(), rng.uniform(), rng.uniform()}; }

/// Not far from upright: up to 24 degrees to either side.
Point tilted(Rng& rng) {
  const double t = rng.uniform(-0.45, 0.45), r = std::sqrt(1 + t * t);
  return {1 / r, t / r};
}

/// At least `apart` from `other`: something that can be seen on it.
Colour contrasting_colour(Rng& rng, const Colour& other, double apart) {
  for (;;) {
    const Colour colour = random_colour(rng);
    double square = 0;
    for (size_t c = 0; c < 3; ++c) square += (colour[c] - other[c]) * (colour[c] - other[c]);
    if (square >= apart * apart) return colour;
  }
}

/// Mixes `colour` into the pixels; share(x, y) in [0, 1] tells how much.
template <class Share>
void paint(Canvas& canvas, const Colour& colour, Share share) {
  for (size_t y = 0; y < kSide; ++y) {
    for (size_t x = 0; x < kSide; ++x) {
      const double s = share(static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5);
      if (s <= 0) continue;
      for (size_t c = 0; c < 3; ++c) canvas[y][x][c] += s * (colour[c] - canvas[y][x][c]);
    }
  }
}

/// A thin line of random place, direction and length. Colours far from the background: clutter is as visible as the
/// shape.
void paint_line(Canvas& canvas, const Colour& background, Rng& rng) {
  const Point middle{rng.uniform(0, kSide), rng.uniform(0, kSide)}, along = random_direction(rng);
  const double half_length = rng.uniform(2, 8), half_width = rng.uniform(0.4, 1.0);
  paint(canvas, contrasting_colour(rng, background, 0.3), [&](double x, double y) {
    const double dx = x - middle.x, dy = y - middle.y;
    const double u = std::abs(dx * along.x + dy * along.y), v = std::abs(dy * along.x - dx * along.y);
    return std::clamp(std::min(half_length - u, half_width - v) + 0.5, 0.0, 1.0);
  });
}

const std::array<std::string, 10> kNames{"disc",  "ring",     "square",  "triangle", "cross",
                                         "frame", "crescent", "stripes", "checks",   "dots"};

double cell(double value) { return value - std::floor(value); }

/// Whether the shape of class `kind` covers (u, v), in its own coordinates: every shape lies within the unit circle.
/// The textures (the last three kinds) fill a disc or a square, whichever `in_disc` says.
bool covers(int kind, double u, double v, bool in_disc) {
  const double r2 = u * u + v * v, box = std::max(std::abs(u), std::abs(v));
  const bool patch = in_disc ? r2 < 1 : box < 0.85;
  switch (kind) {
    case 0:
      return r2 < 0.8;
    case 1:
      return r2 < 1 && r2 > 0.4;
    case 2:
      return box < 0.75;
    case 3:
      return v > -0.5 && std::abs(u) * 1.732 + v < 1;
    case 4:
      return box < 0.95 && std::min(std::abs(u), std::abs(v)) < 0.28;
    case 5:
      return box < 0.8 && box > 0.48;
    case 6:
      return r2 < 1 && (u - 0.45) * (u - 0.45) + v * v > 0.64;
    case 7:
      return patch && cell(1.5 * u) < 0.5;
    case 8:
      return patch && (cell(1.25 * u) < 0.5) == (cell(1.25 * v) < 0.5);
    default: {
      const double a = cell(1.5 * u) - 0.5, b = cell(1.5 * v) - 0.5;
      return patch && a * a + b * b < 0.12;
    }
  }
}

void paint_shape(Canvas& canvas, int kind, const Colour& background, Rng& rng) {
  const Point centre{rng.uniform(12, 20), rng.uniform(12, 20)}, along = tilted(rng);
  const double size = rng.uniform(7, 11.5);
  const double stretch = rng.uniform(0.8, 1);
  const bool in_disc = rng.below(2) == 0;
  const double opacity = rng.uniform(0.75, 1);
  paint(canvas, contrasting_colour(rng, background, 0.5), [&](double x, double y) {
    int inside = 0;  // of four samples per pixel
    if (std::abs(x - centre.x) > size + 1 || std::abs(y - centre.y) > size + 1) return 0.0;
    for (const Point& s : {Point{-0.25, -0.25}, Point{0.25, -0.25}, Point{-0.25, 0.25}, Point{0.25, 0.25}}) {
      const double dx = x + s.x - centre.x, dy = y + s.y - centre.y;
      inside +=
          covers(kind, (dx * along.x + dy * along.y) / size, (dy * along.x - dx * along.y) / (size * stretch), in_disc);
    }
    return opacity * inside / 4;
  });
}

void draw(int kind, Rng& rng, uint8_t* rgb) {
  Canvas canvas;
  const Colour background = random_colour(rng), other = random_colour(rng);
  for (auto& row : canvas) row.fill(background);
  const Point along = random_direction(rng);
  paint(canvas, other, [&](double x, double y) {  // a gradient from one side to the other
    return 0.25 + 0.25 * ((x - 16) * along.x + (y - 16) * along.y) / 22.7;
  });
  const uint64_t behind = 1 + rng.below(4), in_front = rng.below(2);
  for (uint64_t k = 0; k < behind; ++k) paint_line(canvas, background, rng);
  paint_shape(canvas, kind, background, rng);
  for (uint64_t k = 0; k < in_front; ++k) paint_line(canvas, background, rng);
  const double noise = rng.uniform(0.02, 0.1);
  for (const auto& row : canvas) {
    for (const Colour& pixel : row) {
      uint64_t bits = rng.next();
      for (double value : pixel) {  // the sum of two uniform numbers of 10 bits each: in [-1, 1], a triangle
        const double grain = static_cast<double>((bits & 1023) + ((bits >> 10) & 1023)) / 1023 - 1;
        bits >>= 20;
        *rgb++ = static_cast<uint8_t>(std::clamp((value + 2 * noise * grain) * 255 + 0.5, 0.0, 255.0));
      }
    }
  }
}

std::shared_ptr<MemorySource> make(uint64_t split, int64_t count) {
  auto source = std::make_shared<MemorySource>();
  source->height = source->width = kSide;
  source->class_names.assign(kNames.begin(), kNames.end());
  source->labels.resize(static_cast<size_t>(count));
  source->pixels.resize(static_cast<size_t>(count * source->image_bytes()));
  parallel_for(count, 100, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int kind = static_cast<int>(i % std::ssize(kNames));
      Rng rng(kSeed, Purpose::Synthetic, {split, static_cast<uint64_t>(i)});
      source->labels[static_cast<size_t>(i)] = kind;
      draw(kind, rng, source->image(i));
    }
  });
  return source;
}

}  // namespace

Sources make_synthetic(int64_t images) { return {make(0, images - images / 5), make(1, images / 5)}; }

}  // namespace kronbit::data
