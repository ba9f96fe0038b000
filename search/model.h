// What a search believes about accuracy: a multi-task Gaussian process over places of configurations. What a place is
// (weights of the curve, the sum of the layers' sensitivities, both) is the model's business; others hand over
// configurations.
#pragma once

#include <string_view>
#include <vector>

#include "gp/fit.h"
#include "search/history.h"

namespace kronbit::search {

/// What the Gaussian process sees of a configuration.
enum class Inputs {
  Curve,         ///< the weights that draw it
  Error,         ///< u = -ln sum_l s_l(b_l), scaled to [0,1] over the candidates
  CurveAndError  ///< both: u last
};
/// "curve", "error", "curve+error". Throws: InputError.
Inputs parse_inputs(std::string_view text);
std::string_view name_of(Inputs inputs);

struct ModelOptions {
  Inputs inputs = Inputs::Curve;
  gp::Kernel kernel = gp::Kernel::SquaredExponential;
  int starts = 2;  ///< of the fit
};

/// From configurations to the inputs of the Gaussian process.
class Places {
 public:
  /// Throws: InputError when `inputs` wants sensitivities and the candidates have none.
  Places(Inputs inputs, const std::vector<Candidate>& candidates);
  std::vector<double> operator()(const Candidate& candidate) const;
  std::vector<std::vector<double>> operator()(const std::vector<Candidate>& candidates) const;

 private:
  Inputs inputs_;
  double low_ = 0.0, high_ = 1.0;  // of the log errors
};

class Model {
 public:
  Model(Places places, gp::MultiTaskGp gp) : places_(places), gp_(std::move(gp)) {}

  /// Accuracy of one task, without the noise of a single evaluation.
  gp::Posterior predict(const std::vector<Candidate>& candidates, int task) const {
    return gp_.predict(places_(candidates), task);
  }
  int tasks() const { return gp_.tasks(); }
  const gp::MultiTaskGp& gp() const { return gp_; }
  const Places& places() const { return places_; }

 private:
  Places places_;
  gp::MultiTaskGp gp_;
};

/// All accuracies told so far, where the model sees them: by run, then by task.
std::vector<gp::Observation> observations_of(const History& history, const Places& places);

/// The model fitted to everything told so far: on the accuracies or on their logits, whichever predicts left-out
/// configurations better (sum of leave-one-x-out log densities).
/// Requires: something told. Throws: NumericalError when it cannot be fitted.
Model fit_model(const History& history, const ModelOptions& options, uint64_t seed, gp::FitReport* report = nullptr);

}  // namespace kronbit::search
