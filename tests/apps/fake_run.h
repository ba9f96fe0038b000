// A search whose trainings are a formula, as a run folder that rank, status and report can read.
#pragma once

#include <string>

#include "apps/kronbit/search/finals.h"
#include "apps/kronbit/search/run_view.h"
#include "tests/search/fake.h"

namespace kronbit::app {

inline SearchSettings fake_settings() {
  SearchSettings s;
  s.network.net = "resnet20";
  s.network.weights = "w.safetensors";
  s.data.data = "synthetic";
  s.weights_crc = "crc32:00000000";
  s.fingerprint = s.fingerprint_now = "none";
  s.train_images = 45000;
  s.validation_images = 5000;
  s.test_images = 5000;
  s.classes = 10;
  s.fp32_validation = 0.922;
  return s;
}

struct FakeRunOptions {
  std::string budget = "24evals";
  int evaluations = 1 << 20;  ///< the search is stopped after so many
  bool finals = true;
  double test_gap = 0;       ///< how far test accuracy is below validation accuracy
  std::string failure = {};  ///< every seventh request fails with it
};

/// Searches and, if wanted, records finals.
inline void make_fake_run(const std::filesystem::path& folder, const SearchSettings& settings,
                          const FakeRunOptions& options = {}) {
  const SearchSpace space = make_space(settings);
  search::SearchRun run({.folder = folder,
                         .resume = false,
                         .settings = to_json(settings),
                         .budget = search::Budget::parse(options.budget),
                         .epochs = space.epochs,
                         .candidates = space.candidates,
                         .tries = space.tries,
                         .explorer = space.explorer});
  search::FakeEvaluator evaluator(2, 7);
  if (!options.failure.empty()) {
    evaluator.failure = [&](const search::Request& r) {
      return r.index % 7 == 3 && r.attempt == 1 ? options.failure : "";
    };
  }
  search::Callbacks callbacks;
  callbacks.stop = [&] { return run.state().evaluations() >= options.evaluations; };
  run.explore(evaluator, callbacks);
  if (!options.finals) return;
  const double fp32 = settings.fp32_validation - options.test_gap;
  run.record({{"event", "fp32"}, {"top1", fp32}, {"top5", 0.99}, {"loss", 0.3}, {"images", 5000}});
  for (const FinalRow& row : choose_finals(space, run.state(), {})) {
    const double accuracy = search::fake_accuracy(row.bits, run.explorer().tasks());
    for (int seed = 1; seed <= 2; ++seed) {
      run.record({{"event", "final"},
                  {"kind", row.kind},
                  {"bits", row.bits},
                  {"seed", seed},
                  {"estimate", row.estimate},
                  {"sd", row.sd},
                  {"epochs", 4.0},
                  {"validation", accuracy},
                  {"top1", accuracy - options.test_gap + 0.002 * seed},
                  {"top5", 0.99},
                  {"loss", 0.4},
                  {"images", 5000},
                  {"seconds", 20.0}});
    }
  }
}

}  // namespace kronbit::app
