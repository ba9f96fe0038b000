#include "tensor/io/nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace kronbit {
namespace {

/// Letters to insert, delete or replace to get from a to b.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t k = 1; k <= b.size(); ++k) {
      const size_t replaced = diagonal + (a[i - 1] == b[k - 1] ? 0 : 1);
      diagonal = std::exchange(row[k], std::min({replaced, row[k] + 1, row[k - 1] + 1}));
    }
  }
  return row.back();
}

}  // namespace

std::string nearest(std::string_view name, std::span<const std::string> names) {
  std::string found;
  size_t least = name.size() / 2 + 1;
  for (const std::string& known : names) {
    const size_t distance = edit_distance(name, known);
    if (distance >= least) continue;
    least = distance;
    found = known;
  }
  return found;
}

}  // namespace kronbit
