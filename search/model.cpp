#include "search/model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "tensor/base/error.h"
#include "tensor/io/text.h"
#include "tensor/rng.h"

namespace kronbit::search {
namespace {

constexpr std::array<std::pair<Inputs, std::string_view>, 3> kNames = {
    {{Inputs::Curve, "curve"}, {Inputs::Error, "error"}, {Inputs::CurveAndError, "curve+error"}}};

}  // namespace

Inputs parse_inputs(std::string_view text) {
  for (const auto& [inputs, name] : kNames)
    if (name == text) return inputs;
  input_error("model", "inputs: wanted curve, error or curve+error, got {}", quote(text));
}

std::string_view name_of(Inputs inputs) { return kNames[static_cast<size_t>(inputs)].second; }

Places::Places(Inputs inputs, const std::vector<Candidate>& candidates) : inputs_(inputs) {
  if (inputs == Inputs::Curve) return;
  low_ = std::numeric_limits<double>::infinity();
  high_ = -low_;
  for (const Candidate& candidate : candidates) {
    if (!std::isfinite(candidate.log_error))
      input_error("model", "inputs {}: wanted the sensitivity of every layer, got none", name_of(inputs));
    low_ = std::min(low_, candidate.log_error);
    high_ = std::max(high_, candidate.log_error);
  }
  if (!(high_ > low_)) high_ = low_ + 1.0;
}

std::vector<double> Places::operator()(const Candidate& candidate) const {
  std::vector<double> place;
  if (inputs_ != Inputs::Error) place = candidate.w;
  if (inputs_ != Inputs::Curve) place.push_back((high_ - candidate.log_error) / (high_ - low_));
  return place;
}

std::vector<std::vector<double>> Places::operator()(const std::vector<Candidate>& candidates) const {
  std::vector<std::vector<double>> places;
  places.reserve(candidates.size());
  for (const Candidate& candidate : candidates) places.push_back((*this)(candidate));
  return places;
}

std::vector<gp::Observation> observations_of(const History& history, const Places& places) {
  std::vector<gp::Observation> observations;
  std::vector<int> seen(history.candidates.size(), 0);
  for (const Told& told : history.told) {
    if (!told.ok) continue;
    const size_t c = told.run.candidate;
    for (int& task = seen[c]; task <= told.run.task; ++task)
      observations.push_back({places(history.candidates[c]), task, history.known[c][static_cast<size_t>(task)]});
  }
  return observations;
}

Model fit_model(const History& history, const ModelOptions& options, uint64_t seed, gp::FitReport* report) {
  const Places places(options.inputs, history.candidates);
  const std::vector<gp::Observation> observations = observations_of(history, places);
  KB_CHECK(!observations.empty());
  const auto log_density = [](const gp::MultiTaskGp& model) {
    const std::vector<double> each = model.leave_one_x_out().log_density;
    return std::accumulate(each.begin(), each.end(), 0.0);
  };
  gp::FitOptions fit;
  fit.tasks = history.tasks();
  fit.starts = options.starts;
  fit.kernel = options.kernel;
  fit.seed = Rng(seed, Purpose::Search, {1, observations.size()}).next();
  gp::FitReport plain_report, warped_report;
  gp::MultiTaskGp plain = gp::fit(observations, fit, &plain_report);
  fit.logit_warp = true;
  gp::MultiTaskGp warped = gp::fit(observations, fit, &warped_report);
  const bool warp = log_density(warped) > log_density(plain);
  if (report != nullptr) *report = warp ? warped_report : plain_report;
  return {places, warp ? std::move(warped) : std::move(plain)};
}

}  // namespace kronbit::search
