// Six ways to compute one small layer of one- or two-bit numbers, from the definition to the registers, each with its
// speed: a ladder to climb before reading quant/kernels/. One idea per file, in bench/levels/.
#include <fmt/format.h>

#include "bench/levels/1_floats.h"
#include "bench/levels/2_integers.h"
#include "bench/levels/3_planes.h"
#include "bench/levels/4_words.h"
#include "bench/levels/5_vectors.h"
#include "bench/levels/6_registers.h"
#include "bench/machine.h"

namespace kronbit::levels {
namespace {

struct Level {
  const char* name;
  bool (*supported)();
  void (*run)(const Layer& layer, float* y);
};

bool always() { return true; }
bool avx512() { return quant::kBitserialAvx512.supported(); }

template <int Bits>
constexpr Level kLevels[] = {{"1 floats", always, floats},         {"2 integers", always, integers},
                             {"3 planes", always, planes},         {"4 words", [] { return cpu().popcnt; }, words},
                             {"5 vectors", avx512, vectors<Bits>}, {"6 registers", avx512, registers<Bits>}};

/// Multiply-adds per cycle: the best of 10 runs of a few milliseconds.
double rate(const Level& level, const Layer& layer, float* y) {
  constexpr double kProducts = static_cast<double>(kRows * kOutputs * kTaps * kChannels);
  double best = 0;
  for (int run = 0; run < 10; ++run) {
    const double start = thread_seconds();
    int calls = 0;
    for (; thread_seconds() - start < 0.004; ++calls) level.run(layer, y);
    best = std::max(best, kProducts * calls / (thread_seconds() - start));
  }
  return best / clock_rate();
}

/// Prints one line per level. Returns whether all agree with the first.
template <int Bits>
bool climb() {
  fmt::print("{} bit{}: {} rows, {} channels, {} taps, {} outputs\n", Bits, Bits == 1 ? "" : "s", kRows, kChannels,
             kTaps, kOutputs);
  const Layer layer(Bits);
  std::vector<float> expected(kRows * kOutputs), y(expected.size());
  floats(layer, expected.data());
  bool good = true;
  double before = 0;
  for (const Level& level : kLevels<Bits>) {
    if (!level.supported()) {
      fmt::print("  {:12} this processor lacks its instructions\n", level.name);
      continue;
    }
    std::fill(y.begin(), y.end(), NAN);
    const double now = rate(level, layer, y.data());
    bool same = true;  // sums of 1152 terms of magnitude 1; the first level rounds every term
    for (size_t i = 0; i < y.size(); ++i) same = same && std::fabs(y[i] - expected[i]) < 1e-3f;
    good = good && same;
    fmt::print("  {:12} {:7.2f} MAC/cycle", level.name, now);
    if (before > 0) fmt::print(", {:5.1f} times the level before", now / before);
    fmt::print("{}\n", same ? "" : "   WRONG");
    before = now;
  }
  return good;
}

}  // namespace
}  // namespace kronbit::levels

int main() {
  const bool good = kronbit::levels::climb<1>(), good2 = kronbit::levels::climb<2>();
  return good && good2 ? 0 : 1;
}
