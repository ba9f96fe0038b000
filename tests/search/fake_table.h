// A recorded table made by a formula, as the text of its file.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "tests/search/fake.h"

namespace kronbit::search {

struct FakeTable {
  int64_t layers = 8;
  size_t configurations = 60;
  int seeds = 1;
  double noise = 0.002;  ///< of every accuracy
};

inline std::string fake_table(const FakeTable& options) {
  std::string text =
      "# network: fake\n# validation images: 10000\n# test images: 10000\n"
      "id,kind,bits,w,seed,epochs,validation_correct,validation_nll,validation_kl,test_correct,test_nll,train_loss,"
      "train_seconds,evaluation_seconds,bytes,bops,average_bits,status\n";
  const std::vector<Candidate> all = fake_candidates(options.layers);
  const size_t count = std::min(options.configurations, all.size());
  for (size_t i = 0; i < count; ++i) {
    const Candidate& candidate = all[i * all.size() / count];
    std::string bits;
    for (const int b : candidate.bits) bits += static_cast<char>('0' + b);
    for (int seed = 1; seed <= options.seeds; ++seed) {
      Rng rng(static_cast<uint64_t>(seed), Purpose::Test, {i});
      for (int task = 0; task < 3; ++task) {
        const double accuracy = fake_accuracy(candidate.bits, task);
        const auto correct = [&] {
          return std::llround(1e4 * std::clamp(accuracy + options.noise * rng.normal(), 0.0, 1.0));
        };
        const auto seen = correct(), test = correct();
        text += fmt::format("{},linear,{},{} {},{},{},{},1,{},{},1,,{},0.5,{},{},{},ok\n", i, bits, candidate.w[0],
                            candidate.w[1], seed, std::array{0.0, 0.25, 1.0}[static_cast<size_t>(task)], seen,
                            1.0 - accuracy, test, std::array{0.0, 1.0, 3.0}[static_cast<size_t>(task)],
                            candidate.cost.bytes, candidate.cost.bops, candidate.cost.average_bits);
      }
    }
  }
  return text;
}

/// The sensitivities behind fake_accuracy().
inline std::vector<std::vector<double>> fake_errors(int64_t layers = 8) {
  std::vector<std::vector<double>> errors;
  for (int64_t i = 1; i <= layers; ++i) {
    errors.emplace_back();
    for (int b = 1; b <= 8; ++b)
      errors.back().push_back((1.5 - static_cast<double>(i) / static_cast<double>(layers)) * std::pow(3.0, 1.0 - b));
  }
  return errors;
}

}  // namespace kronbit::search
