// A search without networks: a smooth made-up accuracy, and an evaluator that computes it at once, in any order it
// likes.
#pragma once

#include <algorithm>
#include <cmath>
#include <deque>

#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "search/run.h"
#include "tensor/rng.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit::search {

/// Rises with the bits, more with those of the first layers, and with the task; in [0,1].
inline double fake_accuracy(const Bits& bits, int task) {
  double damage = 0.0;
  for (size_t i = 0; i < bits.size(); ++i) {
    const double depth = static_cast<double>(i + 1) / static_cast<double>(bits.size());
    damage += (1.5 - depth) * std::pow(3.0, 1.0 - bits[i]);
  }
  damage *= 1.5 / static_cast<double>(bits.size()) / (1.0 + task);
  return 0.1 + 0.82 * std::exp(-damage);
}

/// Runs requests in this process. With several slots the results come back out of order, drawn from the seed.
class FakeEvaluator : public Evaluator {
 public:
  explicit FakeEvaluator(int slots = 1, uint64_t seed = 0) : slots_(slots), seed_(seed) {}
  /// Says why a request fails, or nothing.
  std::function<std::string(const Request&)> failure;
  int submitted = 0;
  bool cancelled = false;
  std::vector<Request> log;

  int slots() const override { return slots_; }
  void submit(const Request& request) override {
    ++submitted;
    log.push_back(request);
    Result result;
    result.index = request.index;
    result.attempt = request.attempt;
    result.reason = failure ? failure(request) : "";
    result.ok = result.reason.empty();
    for (int task = 0; task <= request.task; ++task)
      result.accuracies.push_back(fake_accuracy(request.bits, task) +
                                  1e-3 * Rng(request.seed, Purpose::Test).uniform(-1, 1));
    result.seconds = 0.25 * (1 + request.task) + 0.01 * submitted;
    result.worker = "fake" + std::to_string(submitted % slots_);
    results_.push_back(result);
  }
  std::optional<Result> wait(double) override {
    if (results_.empty()) return std::nullopt;
    const size_t pick =
        Rng(seed_, Purpose::Test, {static_cast<uint64_t>(submitted), results_.size()}).below(results_.size());
    const Result result = results_[pick];
    results_.erase(results_.begin() + static_cast<std::ptrdiff_t>(pick));
    return result;
  }
  void cancel() override {
    cancelled = true;
    results_.clear();
  }

 private:
  int slots_;
  uint64_t seed_;
  std::deque<Result> results_;
};

inline Cost fake_cost(const Bits& bits) {
  const int sum = std::accumulate(bits.begin(), bits.end(), 0);
  double bops = 0.0;
  for (const int b : bits) bops += 10.0 * b * b;
  return {100.0 * sum, bops, sum / static_cast<double>(bits.size()), 0.0};
}

inline std::vector<Candidate> fake_candidates(int64_t layers = 8, const Curve& curve = Curve::bezier(1),
                                              const std::vector<Bits>& more = {}) {
  SpaceOptions options;
  options.curve = curve;
  for (int64_t i = 0; i < layers; ++i) options.layers.push_back("layer" + std::to_string(i));
  options.cost = fake_cost;
  options.more = more;
  return make_candidates(options);
}

inline SearchSpec fake_spec(const std::filesystem::path& folder, bool resume, const std::string& budget) {
  SearchSpec spec;
  spec.folder = folder;
  spec.resume = resume;
  spec.settings = {{"net", "fake"}, {"data", {{"name", "none"}, {"crc", "00000000"}}}, {"lr", 0.1}};
  spec.budget = Budget::parse(budget);
  spec.epochs = {0, 1, 4};
  static const std::vector<Candidate> candidates = fake_candidates();
  spec.candidates = candidates;
  spec.tries = {find_candidate(spec.candidates, Bits(8, 4))};
  spec.explorer.costs = {1, 5, 17};
  spec.explorer.strategy.seed = 3;
  spec.explorer.strategy.model.starts = 1;
  return spec;
}

/// An empty folder for one test.
inline std::filesystem::path fresh_folder(const std::string& name) {
  static const TemporaryFolder folders;
  const std::filesystem::path folder = folders.path() / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder.parent_path());
  return folder;
}

}  // namespace kronbit::search
