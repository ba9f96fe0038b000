// How much one more observation would tell about the target task, exactly, for a fixed set of candidates. It never
// depends on the observed values, so a whole batch can be planned ahead: append() what is planned and go on.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "gp/multitask.h"

namespace kronbit::gp {

/// Formula:  I(y_(x,l); f_m | y) = ½ log((v_full + σ²_l) / (v_res + σ²_l)): v_full the posterior variance of f_l(x),
///           v_res that of the residual r_l = f_l − (Kf_lm/Kf_mm) f_m, itself a multi-task model with task matrix
///           R = Kf − Kf_:m Kf_m: / Kf_mm, given the observations of the tasks below m only. v_res of task m is 0.
/// Formula:  an appended observation lowers the m x m posterior block of each candidate by γγᵀ/p², γ_l its posterior
///           covariance with f_l(x), p² its own posterior variance + noise: O(n + m²) per candidate
/// Formula:  posterior blocks: with the observations ordered by task, Kf[l,a] V_a are the parts of L⁻¹ cov(y, f_l(x))
///           that come from task a: V_a = L⁻¹[:, a] k(x_a, x), zero above the rows of task a;
///           V_full = Kf k(x,x) − Kf S Kf, S_ab = V_a · V_b: products of matrices over many candidates at once
/// Units:    nats. Memory: candidates x distinct observed x doubles.
/// Source:   paper §3.2 "Exploration Phase"
class InformationGain {
 public:
  InformationGain(const MultiTaskGp& gp, std::vector<std::vector<double>> candidates);

  size_t candidates() const { return candidates_.size(); }
  int tasks() const { return static_cast<int>(hyperparameters_.noise.size()); }
  /// Of observing one task at a candidate, given the observations and everything appended.
  double information(size_t candidate, int task) const;
  /// Of one run that passes the tasks 0..top_task at a candidate and observes each.
  /// Formula:  ½ ln det(V_full + D_B) / det(V_res + D_B), B = tasks 0..top_task
  double run_information(size_t candidate, int top_task) const;
  /// The same for the tasks first_task..top_task: a run continued from its checkpoint.
  double run_information(size_t candidate, int first_task, int top_task) const;
  /// Takes (candidate, task) as observed.
  void append(size_t candidate, int task);

 private:
  // One multi-task model (full or residual) over all candidates.
  struct Process {
    Matrix task_covariance;
    std::vector<size_t> points;  // observation i: its column of kernel_
    std::vector<size_t> tasks;   // observation i: its task
    Cholesky cholesky;           // of their covariance
    std::vector<double> blocks;  // [candidate][m][m] posterior covariances
  };
  void check(size_t candidate, int task) const;
  // The column of kernel_ for an observed x, made when it is new.
  size_t kernel_column(const std::vector<double>& x);
  Block kernel_block(size_t first_candidate, size_t count) const;
  // observed: between the points of the observations, which are ordered by task.
  Process make_process(const Matrix& task_covariance, const Matrix& observed, std::vector<size_t> points,
                       std::vector<size_t> tasks) const;
  // Memory of fill_blocks, used again: k [count, observations of a task]; v[a] = V_aᵀ without its zeros; s [count, m²].
  struct Scratch {
    Matrix k, s;
    std::vector<Matrix> v;
  };
  void fill_blocks(Process& process, const Matrix& inverse, size_t first, size_t count, Scratch& scratch) const;
  double variance(const Process& process, size_t candidate, size_t task) const;
  // Of posterior covariance + noise over the tasks first..last.
  double log_determinant(const Process& process, size_t candidate, size_t first, size_t last) const;
  void append_to(Process& process, size_t candidate, size_t task, size_t point) const;

  std::vector<std::vector<double>> candidates_;
  Hyperparameters hyperparameters_;
  Covariance covariance_;
  Matrix coordinates_;                               // of the candidates
  std::vector<double> prior_;                        // [candidate] k(x_c, x_c)
  std::map<std::vector<double>, size_t> column_of_;  // the columns of kernel_ for the distinct x of the observations
  std::vector<double> kernel_;                       // [point][candidate] k(x_p, x_c)
  Process full_{}, residual_{};
};

}  // namespace kronbit::gp
