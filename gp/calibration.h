// Whether a model's uncertainty can be believed: predictions of observations it did not see, beside what came.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "gp/multitask.h"

namespace kronbit::gp {

enum class Honesty { Honest, TooConfident, TooWide, Biased };

/// Formula:  z_i = (observed − predicted mean) / predicted sd, N(0,1) when calibrated
/// Units:    those of y where nothing else is said
struct Calibration {
  size_t count = 0;
  double coverage50 = 0.0, coverage80 = 0.0, coverage90 = 0.0, coverage95 = 0.0;  ///< shares of |z| <= the quantile
  double mean_z = 0.0;
  double mean_z2 = 0.0;    ///< 1 when calibrated; > 1: too confident; multiplying all variances by it repairs that
  double log_score = 0.0;  ///< mean log density of the observed y: nats per observation
  double log_gain = 0.0;   ///< the same minus that of a normal with the mean and sd of each task's observations
  double crps = 0.0;       ///< mean continuous ranked probability score of a normal with predicted mean and variance
  double ks = 0.0;         ///< Kolmogorov-Smirnov distance of Φ(z) from uniform
  double ks_limit = 0.0;   ///< 1.36/√N: larger distances come about by chance in 5 % of all calibrated cases
  double rmse = 0.0, median_error = 0.0;  ///< of the mean; median of the absolute errors
  double spearman = 0.0;                  ///< rank correlation of observed and predicted; 0 when either is constant
  double spearman_best = 0.0;             ///< the same within the quarter of the highest observed values
  /// Within the quarter of the highest predicted means, at least two: what a choice by them rests on. Chosen without the
  /// observed values, so calibrated as the whole is, in expectation.
  double coverage90_best = 0.0, median_error_best = 0.0;

  /// Source:   bands: too confident when mean z² > 1.4 or 95 % coverage < 0.88, too wide when mean z² < 0.7, biased
  ///           when |mean z| > 2/√N; for few observations each band is as wide as chance alone makes it (95 %)
  Honesty honesty() const;
  /// Whether ranking by the sd makes sense at all: 95 % coverage of at least 0.85.
  bool sd_usable() const { return coverage95 >= 0.85; }
  /// One line: honest, too confident, too wide or biased, with the numbers behind it.
  std::string verdict() const;
};

/// predicted: leave_one_x_out() for configurations never run; leave_one_out() with a task for that task when the other
/// tasks of the same x are known; predict_observations() for held-out ones.
/// Requires: one prediction per observation. task < 0: all tasks together.
/// Throws:   InputError when no observation of the task is there.
Calibration calibrate(const LeaveOneOut& predicted, const std::vector<Observation>& observations, int task = -1);

/// Formula:  s (z (2Φ(z) − 1) + 2φ(z) − 1/√π), z = (y − mean)/s
/// Source:   Gneiting & Raftery 2007, eq. 21 (sign reversed: lower is better)
double crps(double mean, double sd, double y);

/// Pearson correlation of the ranks, ties sharing their mean rank; 0 when either is constant.
double spearman(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace kronbit::gp
