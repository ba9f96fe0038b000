#include "apps/kronbit/report/data.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "tensor/base/error.h"

namespace kronbit::app {
namespace {

void read_lines(SearchReport& report) {
  std::map<int64_t, size_t> place;  // plan index -> plans
  double total = 0;
  for (const Json& line : report.run.lines) {
    const std::string& event = get_string(line, "event", "journal");
    if (event == "plan") {
      for (const Json& json : get_array(line, "runs", "journal")) {
        PlannedEvaluation plan;
        plan.candidate = search::find_candidate(report.run.space.candidates, get(json, "bits", "journal").get<Bits>());
        plan.task = static_cast<int>(get_int(json, "task", 0, report.tasks() - 1, "journal"));
        plan.information = get_number(json, "information", -1e9, 1e9, "journal");
        plan.informed = get_string(json, "reason", "journal") == search::name_of(search::Reason::Information);
        plan.cost = get_number(json, "cost", 0, 1e300, "journal");
        place[get_int(json, "plan", 0, INT64_MAX, "journal")] = report.plans.size();
        report.plans.push_back(plan);
      }
    } else if (event == "evaluation" || event == "failed") {
      const double seconds = get_number(line, "seconds", 0, 1e12, "journal");
      total += seconds;
      if (event == "failed") {
        report.failures.push_back(line);
        continue;
      }
      PlannedEvaluation& plan = report.plans[place.at(get_int(line, "plan", 0, INT64_MAX, "journal"))];
      plan.done = true;
      plan.seconds = seconds;
      plan.total_seconds = total;
    }
  }
}

void judge_model(SearchReport& report) {
  const gp::LeaveOneOut left_out = report.model->gp().leave_one_x_out();
  const std::vector<gp::Observation>& observations = report.model->gp().observations();
  report.trust.resize(static_cast<size_t>(report.tasks()));
  for (size_t i = 0; i < observations.size(); ++i) {
    const gp::Observation& o = observations[i];
    report.foretold.push_back({o.task, o.y, left_out.mean[i], std::sqrt(std::max(0.0, left_out.variance[i]))});
    Trust& trust = report.trust[static_cast<size_t>(o.task)];
    ++trust.observations;
    trust.coverage += std::abs(left_out.z[i]) <= 2;
  }
  for (size_t t = 0; t < report.trust.size(); ++t) {
    Trust& trust = report.trust[t];
    if (trust.observations == 0) continue;
    const auto n = static_cast<double>(trust.observations);
    trust.coverage /= n;
    double mean = 0, errors = 0, spread = 0;
    for (const Foretold& f : report.foretold)
      if (f.task == static_cast<int>(t)) mean += f.observed / n;
    for (const Foretold& f : report.foretold) {
      if (f.task != static_cast<int>(t)) continue;
      errors += (f.observed - f.mean) * (f.observed - f.mean);
      spread += (f.observed - mean) * (f.observed - mean);
    }
    if (trust.observations >= 3 && spread > 0) trust.r2 = 1 - errors / spread;
  }
}

void fit_model(SearchReport& report) {
  const search::Explorer& explorer = report.run.state.explorer();
  const SearchSpace& space = report.run.space;
  if (!explorer.anything_known()) {
    report.model_problem = "no evaluation has finished yet";
    return;
  }
  try {
    report.model = explorer.fit();
  } catch (const NumericalError& e) {
    report.model_problem = e.what();
    return;
  }
  report.ranked = search::rank(*report.model, explorer, space.candidates, space.goal, space.limits);
  for (int b = kMinBits; b <= kMaxBits; ++b) {
    report.uniform.push_back(expect(report.run, *report.model, space.goal, Bits(space.layers.size(), b)));
    if (!space.limits.allow(report.uniform.back().cost)) break;  // further out the model has never looked
  }
  judge_model(report);
  if (report.ranked.empty()) return;
  const size_t first = report.ranked[0].candidate;
  report.best = expect(report.run, *report.model, space.goal, space.candidates[first].bits);
  report.rivals = rivals(report.run, *report.model, space.goal, first);
}

}  // namespace

Bits SearchReport::chosen() const {
  if (const FinalRow* row = champion()) return row->bits;
  return best ? best->bits : Bits();
}

std::string folder_name(const std::filesystem::path& folder) {
  const std::filesystem::path whole = std::filesystem::absolute(folder).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

SearchReport read_search_report(const std::filesystem::path& folder) {
  SearchReport report{.run = open_run(folder), .name = folder_name(folder)};
  report.finals = read_finals(report.run.lines, report.run.space);
  report.failed_finals = open_failures(report.run.lines);
  read_lines(report);
  fit_model(report);
  return report;
}

std::string task_name(const SearchReport& report, int task) {
  const double epochs = report.run.space.epochs[static_cast<size_t>(task)];
  return fmt::format("{:g} epoch{}", epochs, epochs == 1 ? "" : "s");
}

}  // namespace kronbit::app
