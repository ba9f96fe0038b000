// The search's model, timed: one fit of the hyper-parameters, predictions, and one whole decision over all candidates
// and tasks. Data from a file, so that others can be timed on the same. One JSON line; bench/gp.py sets it beside
// BoTorch.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <limits>
#include <sstream>

#include "bench/machine.h"
#include "gp/fit.h"
#include "gp/information.h"
#include "gp/maximise.h"
#include "tensor/base/error.h"
#include "tensor/io/json.h"
#include "tensor/rng.h"

namespace kronbit {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Seconds, after one round to warm up.
double best_of(int rounds, const std::function<void()>& work) {
  double best = std::numeric_limits<double>::infinity();
  work();
  for (int round = 0; round < rounds; ++round) {
    const Clock::time_point start = Clock::now();
    work();
    best = std::min(best, seconds_since(start));
  }
  return best;
}

struct Data {
  std::vector<gp::Observation> observations;
  std::vector<std::vector<double>> candidates;
  int tasks = 0;
};

// Lines "task y x..." of observations, and "- x..." of candidates.
Data read(const std::string& path) {
  std::ifstream file(path);
  if (!file) input_error("bench_gp", "{}: cannot be read", path);
  Data data;
  for (std::string line, head; std::getline(file, line);) {
    std::istringstream words(line);
    words >> head;
    gp::Observation o;
    if (head != "-") {
      o.task = std::stoi(head);
      words >> o.y;
    }
    for (double value; words >> value;) o.x.push_back(value);
    if (head == "-") {
      data.candidates.push_back(o.x);
    } else {
      data.tasks = std::max(data.tasks, o.task + 1);
      data.observations.push_back(o);
    }
  }
  return data;
}

// The same shape as bench/gp.py's: nested runs of 200 configurations, each at the tasks 0 to 0..3.
Data built_in() {
  Data data;
  data.tasks = 4;
  Rng rng(1, Purpose::Test);
  const auto point = [&] { return std::vector<double>{rng.uniform(), rng.uniform()}; };
  for (int run = 0; run < 200; ++run) {
    const std::vector<double> x = point();
    for (int task = 0; task <= run / 50; ++task) {
      data.observations.push_back({x, task, std::sin(5.0 * x[0] + task) + std::cos(4.0 * x[1]) + 0.05 * rng.normal()});
    }
  }
  for (int c = 0; c < 4096; ++c) data.candidates.push_back(point());
  return data;
}

// One climb from the first start: seconds and log marginal likelihood whenever the objective has improved.
Json trace(const Data& data) {
  const Clock::time_point begin = Clock::now();
  const gp::FitObjective objective(data.observations, gp::standardise(data.observations, data.tasks), gp::KernelSpec());
  gp::FitObjective::Workspace workspace;
  Json result = Json::array();
  double best = -std::numeric_limits<double>::infinity();
  gp::maximise(
      [&](const std::vector<double>& p) {
        const gp::ObjectiveValue value = objective(p, workspace);
        if (value.value > best) {
          best = value.value;
          result.push_back({seconds_since(begin), value.value - objective.log_prior(p).value});
        }
        return value;
      },
      objective.start(0, 0), objective.lower(), objective.upper(), 150);
  return result;
}

Json report(const Data& data, int rounds) {
  const gp::FitOptions options{.tasks = data.tasks, .starts = 5};
  gp::FitReport fitted;
  const double fit_seconds = best_of(rounds, [&] { gp::fit(data.observations, options, &fitted); });
  Json climb = trace(data);
  for (int round = 1; round < rounds; ++round) {
    const Json again = trace(data);
    if (again.back()[0] < climb.back()[0]) climb = again;
  }
  const gp::MultiTaskGp model = gp::fit(data.observations, options);
  const int last = data.tasks - 1;
  const double predict_seconds = best_of(2 * rounds, [&] {
    for (int task = 0; task <= last; ++task) model.predict(data.candidates, task);
  });
  const auto run_values = [&](const gp::InformationGain& gain) {
    double best = 0.0;
    for (size_t c = 0; c < data.candidates.size(); ++c) {
      for (int task = 0; task <= last; ++task) best = std::max(best, gain.run_information(c, task));
    }
    return best;
  };
  const double gain_seconds =
      best_of(rounds, [&] { benchmark::DoNotOptimize(run_values(gp::InformationGain(model, data.candidates))); });
  const double decision_seconds = best_of(rounds, [&] {
    benchmark::DoNotOptimize(run_values(gp::InformationGain(model, data.candidates)));
    model.predict(data.candidates, last);
  });
  return {{"processor", cpu().model},
          {"threads", threads()},
          {"openblas", openblas_core()},
          {"observations", data.observations.size()},
          {"distinct", gp::distinct_points(data.observations).x.size()},
          {"inputs", data.observations[0].x.size()},
          {"tasks", data.tasks},
          {"candidates", data.candidates.size()},
          {"log_marginal_likelihood", model.log_marginal_likelihood()},
          {"fit_evaluations", fitted.evaluations},
          {"fit_seconds", fit_seconds},
          {"trace", climb},
          {"predict_seconds", predict_seconds},
          {"acquisition_seconds", gain_seconds},
          {"decision_seconds", decision_seconds}};
}

}  // namespace
}  // namespace kronbit

int main(int argc, char** argv) {
  using namespace kronbit;
  std::string path;
  int rounds = 3, thread_count = 0;
  CLI::App app{"Times the Gaussian process of the search; prints one JSON line.", "bench_gp"};
  app.add_option("--data", path, "observations and candidates, as bench/gp.py writes them; without: random ones");
  app.add_option("--rounds", rounds, "the best of so many counts")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--threads", thread_count, "0: as many as there are processors")->check(CLI::Range(0, 1024));
  CLI11_PARSE(app, argc, argv);
  try {
    if (thread_count > 0) set_threads(thread_count);
    std::printf("%s\n", dump_line(report(path.empty() ? built_in() : read(path), rounds)).c_str());
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
  return 0;
}
