// Counter-based random numbers: a generator is a pure function of its keys (seed, purpose, epoch, image ...), never a
// stream that somebody else has advanced; so a resumed or parallel run draws the same numbers.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace kronbit {

/// What random numbers are drawn for: the second key, so that no two uses share numbers.
enum class Purpose : uint64_t { Init = 1, Shuffle, Augment, Split, Dropout, Synthetic, Search, Test };

/// splitmix64 over a key mixed from (seed, purpose, more...).
/// Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators".
class Rng {
 public:
  Rng(uint64_t seed, Purpose purpose, std::initializer_list<uint64_t> more = {});
  uint64_t next();
  double uniform();  ///< in [0, 1), 53 bits
  double uniform(double lo, double hi) { return lo + (hi - lo) * uniform(); }
  double normal();                              ///< mean 0, variance 1 (Box-Muller)
  uint64_t below(uint64_t n);                   ///< in [0, n), unbiased; n > 0
  std::vector<int64_t> permutation(int64_t n);  ///< of 0..n-1 (Fisher-Yates)

 private:
  uint64_t state_;
};

}  // namespace kronbit
