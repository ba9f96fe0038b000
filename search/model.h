// What a search believes about accuracy: a multi-task Gaussian process over places of configurations. What a place is
// (weights of the curve, the sum of the layers' sensitivities, both) is the model's business; others hand over
// configurations.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gp/fit.h"
#include "search/history.h"

namespace kronbit::search {

/// What the Gaussian process sees of a configuration, and the covariance over it.
///   curve:        the weights that draw it, a lengthscale each
///   error:        e = (sum_l s_l(b_l))^(3/4), scaled to [0,1] over the candidates: the logit of the accuracy falls
///                 nearly linearly with it (docs/search.md); a linear covariance and a squared exponential
///   bits:         (b_l - 1) / 7 of all layers, which share one lengthscale
///   curve+error, bits+error: a weighted sum of both, and of the covariance over curve or bits times 3 e e'
/// Only curve needs no sensitivities; only error, bits and their sum tell configurations apart that one curve draws
/// alike.
enum class Inputs { Curve, Error, Bits, CurveAndError, BitsAndError };
/// "curve", "error", "bits", "curve+error", "bits+error". Throws: InputError.
Inputs parse_inputs(std::string_view text);
std::string_view name_of(Inputs inputs);
bool needs_sensitivities(Inputs inputs);

/// What the model is fitted to: accuracies, their logits, or whichever of the two has the larger sum of
/// leave-one-x-out log densities.
enum class Warp { Auto, None, Logit };
/// "auto", "none", "logit". Throws: InputError.
Warp parse_warp(std::string_view text);
std::string_view name_of(Warp warp);

/// What the model is told: accuracies as they were measured, or smoothed_accuracies().
enum class Observe { Accuracy, Smooth };
/// "accuracy", "smooth". Throws: InputError.
Observe parse_observe(std::string_view text);
std::string_view name_of(Observe observe);

/// "se" (squared exponential) or "matern" (5/2). Throws: InputError.
gp::Kernel parse_covariance(std::string_view text);

/// The defaults are what foretells recorded trainings best after a search: docs/results/models.md.
struct ModelOptions {
  Inputs inputs = Inputs::Curve;
  gp::Kernel kernel = gp::Kernel::Matern52;  ///< of curve and bits
  Warp warp = Warp::Auto;                    ///< Auto: the one that predicts left-out configurations better
  int starts = 2;                            ///< of the fit
  Observe observe = Observe::Accuracy;
};

/// From configurations to the inputs of the Gaussian process.
class Places {
 public:
  /// Throws: InputError when `inputs` wants sensitivities and the candidates have none.
  Places(Inputs inputs, const std::vector<Candidate>& candidates);
  std::vector<double> operator()(const Candidate& candidate) const;
  /// Over the inputs; `kernel` as in ModelOptions.
  gp::KernelSpec covariance(gp::Kernel kernel) const;
  /// "sensitivity", "weight 1", "bits", "bits times sensitivity": what each lengthscale of covariance() belongs to.
  std::vector<std::string> lengthscale_names() const;
  std::vector<std::vector<double>> operator()(const std::vector<Candidate>& candidates) const;

 private:
  Inputs inputs_;
  size_t others_ = 0;              // inputs before e
  double low_ = 0.0, high_ = 1.0;  // of e before it is scaled
};

class Model {
 public:
  /// widening: of the variances that predict() and predict_observations() tell, in the units the process is fitted in.
  Model(Places places, gp::MultiTaskGp gp, double widening = 1.0)
      : places_(places),
        gp_(std::move(gp)),
        told_(widening == 1.0 ? gp_ : gp_.widened(widening)),
        widening_(widening) {}

  /// Accuracy of one task, without the noise of a single evaluation.
  gp::Posterior predict(const std::vector<Candidate>& candidates, int task) const {
    return told_.predict(places_(candidates), task);
  }
  /// Of observations at places(), with their noise.
  gp::LeaveOneOut predict_observations(const std::vector<gp::Observation>& held_out) const {
    return told_.predict_observations(held_out);
  }
  /// How far what is not known of a and of b goes together at one task, -1..1.
  double correlation(const Candidate& a, const Candidate& b, int task) const {
    return gp_.correlation(places_(a), places_(b), task);
  }
  double widening() const { return widening_; }
  int tasks() const { return gp_.tasks(); }
  const gp::MultiTaskGp& gp() const { return gp_; }  ///< as fitted
  const Places& places() const { return places_; }

 private:
  Places places_;
  gp::MultiTaskGp gp_, told_;
  double widening_;
};

/// All accuracies told so far, where the model sees them: by run, then by task.
std::vector<gp::Observation> observations_of(const History& history, const Places& places,
                                             Observe observe = Observe::Accuracy);

/// The model fitted to everything told so far.
/// Requires: something told. Throws: NumericalError when it cannot be fitted.
Model fit_model(const History& history, const ModelOptions& options, uint64_t seed, gp::FitReport* report = nullptr);

/// The model as people are told of it. What a search has run lies together near the best, and the model is too sure
/// elsewhere; how far wrong it is about what it has seen, were it unseen, says by how much. The search itself decides by
/// the model as fitted.
/// Formula:  widening = max(1, mean z² of the observations of the last task, each configuration left out in turn);
///           1 without any
/// Source:   gp/calibration.h; what it repairs: docs/results/models.md
Model widened(const Model& model);

/// A measurement and how much it says about another configuration at the last task.
struct Evidence {
  size_t candidate = 0;
  int task = 0;
  double accuracy = 0.0;
  double correlation = 0.0;  ///< of its noisy value with the accuracy asked about, before anything is observed
};
/// The most telling measurements about `candidate`, one per configuration, by falling correlation, either way (ties: the
/// first).
std::vector<Evidence> evidence_for(const Model& model, const History& history, const Candidate& candidate,
                                   size_t count);

}  // namespace kronbit::search
