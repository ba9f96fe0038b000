#include "search/model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "gp/calibration.h"
#include "search/smoothing.h"
#include "tensor/base/error.h"
#include "tensor/io/text.h"
#include "tensor/rng.h"

namespace kronbit::search {
namespace {

constexpr std::array<std::pair<Inputs, std::string_view>, 5> kNames = {{{Inputs::Curve, "curve"},
                                                                        {Inputs::Error, "error"},
                                                                        {Inputs::Bits, "bits"},
                                                                        {Inputs::CurveAndError, "curve+error"},
                                                                        {Inputs::BitsAndError, "bits+error"}}};

bool sees_curve(Inputs inputs) { return inputs == Inputs::Curve || inputs == Inputs::CurveAndError; }
bool sees_bits(Inputs inputs) { return inputs == Inputs::Bits || inputs == Inputs::BitsAndError; }

}  // namespace

Inputs parse_inputs(std::string_view text) {
  for (const auto& [inputs, name] : kNames)
    if (name == text) return inputs;
  input_error("model", "inputs: wanted curve, error, bits, curve+error or bits+error, got {}", quote(text));
}

bool needs_sensitivities(Inputs inputs) { return inputs != Inputs::Curve && inputs != Inputs::Bits; }

Warp parse_warp(std::string_view text) {
  for (const Warp warp : {Warp::Auto, Warp::None, Warp::Logit})
    if (name_of(warp) == text) return warp;
  input_error("warp", "wanted auto, none or logit, got {}", quote(text));
}

std::string_view name_of(Warp warp) { return warp == Warp::Auto ? "auto" : warp == Warp::None ? "none" : "logit"; }

Observe parse_observe(std::string_view text) {
  for (const Observe observe : {Observe::Accuracy, Observe::Smooth})
    if (name_of(observe) == text) return observe;
  input_error("observe", "wanted accuracy or smooth, got {}", quote(text));
}

std::string_view name_of(Observe observe) { return observe == Observe::Smooth ? "smooth" : "accuracy"; }

gp::Kernel parse_covariance(std::string_view text) {
  if (text == "se") return gp::Kernel::SquaredExponential;
  if (text == "matern") return gp::Kernel::Matern52;
  input_error("covariance", "wanted se or matern, got {}", quote(text));
}

std::string_view name_of(Inputs inputs) { return kNames[static_cast<size_t>(inputs)].second; }

namespace {

// e(b), before it is scaled
double error_input(const Candidate& candidate) { return std::exp(0.75 * candidate.log_error); }

}  // namespace

Places::Places(Inputs inputs, const std::vector<Candidate>& candidates) : inputs_(inputs) {
  if (sees_curve(inputs)) others_ = candidates.at(0).w.size();
  if (sees_bits(inputs)) others_ = candidates.at(0).bits.size();
  if (!needs_sensitivities(inputs)) return;
  low_ = std::numeric_limits<double>::infinity();
  high_ = -low_;
  for (const Candidate& candidate : candidates) {
    if (!std::isfinite(candidate.log_error))
      input_error("model", "inputs {}: wanted the sensitivity of every layer, got none", name_of(inputs));
    low_ = std::min(low_, error_input(candidate));
    high_ = std::max(high_, error_input(candidate));
  }
  if (!(high_ > low_)) high_ = low_ + 1.0;
}

std::vector<double> Places::operator()(const Candidate& candidate) const {
  std::vector<double> place;
  if (sees_curve(inputs_)) place = candidate.w;
  if (sees_bits(inputs_))
    for (const int b : candidate.bits) place.push_back(static_cast<double>(b - kMinBits) / (kMaxBits - kMinBits));
  if (needs_sensitivities(inputs_)) place.push_back((error_input(candidate) - low_) / (high_ - low_));
  return place;
}

gp::KernelSpec Places::covariance(gp::Kernel kernel) const {
  std::vector<gp::KernelTerm> terms;
  if (needs_sensitivities(inputs_)) {
    terms.push_back(gp::each_input(gp::Kernel::SquaredExponential, others_, 1));
    terms.push_back(gp::each_input(gp::Kernel::Linear, others_, 1));
  }
  if (sees_curve(inputs_)) terms.push_back(gp::each_input(kernel, 0, others_));
  if (sees_bits(inputs_)) terms.push_back(gp::shared_inputs(kernel, 0, others_));
  if (needs_sensitivities(inputs_) && others_ > 0) {
    terms.push_back(terms.back());
    terms.back().scaled_by = others_;
  }
  return terms;
}

std::vector<std::string> Places::lengthscale_names() const {
  std::vector<std::string> names, others;
  if (needs_sensitivities(inputs_)) names.emplace_back("sensitivity");
  if (sees_curve(inputs_))
    for (size_t d = 0; d < others_; ++d) others.push_back(fmt::format("weight {}", d + 1));
  if (sees_bits(inputs_)) others.emplace_back("bits");
  names.insert(names.end(), others.begin(), others.end());
  if (needs_sensitivities(inputs_))
    for (const std::string& name : others) names.push_back(name + " times sensitivity");
  return names;
}

std::vector<std::vector<double>> Places::operator()(const std::vector<Candidate>& candidates) const {
  std::vector<std::vector<double>> places;
  places.reserve(candidates.size());
  for (const Candidate& candidate : candidates) places.push_back((*this)(candidate));
  return places;
}

std::vector<gp::Observation> observations_of(const History& history, const Places& places, Observe observe) {
  const std::vector<std::vector<double>> known =
      observe == Observe::Smooth ? smoothed_accuracies(history) : history.known;
  std::vector<gp::Observation> observations;
  std::vector<int> seen(history.candidates.size(), 0);
  for (const Told& told : history.told) {
    if (!told.ok) continue;
    const size_t c = told.run.candidate;
    for (int& task = seen[c]; task <= told.run.task; ++task)
      observations.push_back({places(history.candidates[c]), task, known[c][static_cast<size_t>(task)]});
  }
  return observations;
}

Model fit_model(const History& history, const ModelOptions& options, uint64_t seed, gp::FitReport* report) {
  const Places places(options.inputs, history.candidates);
  const std::vector<gp::Observation> observations = observations_of(history, places, options.observe);
  KB_CHECK(!observations.empty());
  const auto log_density = [](const gp::MultiTaskGp& model) {
    const std::vector<double> each = model.leave_one_x_out().log_density;
    return std::accumulate(each.begin(), each.end(), 0.0);
  };
  gp::FitOptions fit;
  fit.tasks = history.tasks();
  fit.starts = options.starts;
  fit.kernel = places.covariance(options.kernel);
  fit.seed = Rng(seed, Purpose::Search, {1, observations.size()}).next();
  gp::FitReport plain_report, warped_report;
  if (options.warp != Warp::Auto) {
    fit.logit_warp = options.warp == Warp::Logit;
    return {places, gp::fit(observations, fit, report)};
  }
  gp::MultiTaskGp plain = gp::fit(observations, fit, &plain_report);
  fit.logit_warp = true;
  gp::MultiTaskGp warped = gp::fit(observations, fit, &warped_report);
  const bool warp = log_density(warped) > log_density(plain);
  if (report != nullptr) *report = warp ? warped_report : plain_report;
  return {places, warp ? std::move(warped) : std::move(plain)};
}

Model widened(const Model& model) {
  const std::vector<gp::Observation>& observations = model.gp().observations();
  const int last = model.tasks() - 1;
  const bool known =
      std::any_of(observations.begin(), observations.end(), [&](const gp::Observation& o) { return o.task == last; });
  const double z2 = known ? gp::calibrate(model.gp().leave_one_x_out(), observations, last).mean_z2 : 1.0;
  return {model.places(), model.gp(), std::max(1.0, z2)};
}

std::vector<Evidence> evidence_for(const Model& model, const History& history, const Candidate& candidate,
                                   size_t count) {
  const gp::Hyperparameters& h = model.gp().hyperparameters();
  const gp::Covariance covariance = h.covariance();
  const size_t last = static_cast<size_t>(history.last());
  const std::vector<double> here = model.places()(candidate);
  std::vector<Evidence> evidence;
  for (size_t c = 0; c < history.candidates.size(); ++c) {
    const std::vector<double> there = model.places()(history.candidates[c]);
    Evidence best;
    for (int task = 0; task < history.depth(c); ++task) {
      const size_t t = static_cast<size_t>(task);
      const double correlation = h.task_covariance(last, t) * covariance(here, there) /
                                 std::sqrt(h.task_covariance(last, last) * covariance.variance(here) *
                                           (h.task_covariance(t, t) * covariance.variance(there) + h.noise[t]));
      if (task == 0 || std::abs(correlation) > std::abs(best.correlation))
        best = {c, task, history.known[c][t], correlation};
    }
    if (history.depth(c) > 0) evidence.push_back(best);
  }
  std::stable_sort(evidence.begin(), evidence.end(), [](const Evidence& a, const Evidence& b) {
    return std::abs(a.correlation) > std::abs(b.correlation);
  });
  evidence.resize(std::min(evidence.size(), count));
  return evidence;
}

}  // namespace kronbit::search
