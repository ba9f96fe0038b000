#include "tensor/rng.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "tensor/base/error.h"

namespace kronbit {
namespace {

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio: the increment of splitmix64

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(uint64_t seed, Purpose purpose, std::initializer_list<uint64_t> more) : state_(mix(seed + kGolden)) {
  state_ = mix(state_ ^ (static_cast<uint64_t>(purpose) + kGolden));
  for (uint64_t key : more) state_ = mix((state_ + kGolden) ^ mix(key + kGolden));
}

uint64_t Rng::next() { return mix(state_ += kGolden); }

double Rng::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

double Rng::normal() {
  const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

uint64_t Rng::below(uint64_t n) {
  KB_CHECK(n > 0);
  const uint64_t limit =
      UINT64_MAX - UINT64_MAX % n;  // the largest multiple of n: below it every remainder is equally likely
  uint64_t value = next();
  while (value >= limit) value = next();
  return value % n;
}

std::vector<int64_t> Rng::permutation(int64_t n) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[below(i)]);
  return order;
}

}  // namespace kronbit
