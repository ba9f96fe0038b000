#include "gp/information.h"

#include <algorithm>
#include <cmath>

#include "tensor/base/error.h"
#include "tensor/parallel.h"

namespace kronbit::gp {
namespace {

constexpr int64_t kSolveChunk = 64;     // candidates: their right-hand sides stay in the cache
constexpr int64_t kUpdateChunk = 4096;  // an update is cheap: below this threads cost more than they bring

// R = Kf − Kf_:m Kf_m: / Kf_mm, its last row and column exactly 0.
Matrix residual_task_covariance(const Matrix& kf) {
  const size_t m = kf.rows();
  Matrix result(m, m);
  for (size_t b = 0; b + 1 < m; ++b) {
    for (size_t a = 0; a + 1 < m; ++a) result(a, b) = kf(a, b) - kf(a, m - 1) * kf(b, m - 1) / kf(m - 1, m - 1);
  }
  return result;
}

}  // namespace

InformationGain::InformationGain(const MultiTaskGp& gp, std::vector<std::vector<double>> candidates)
    : candidates_(std::move(candidates)), hyperparameters_(gp.hyperparameters()) {
  const size_t m = hyperparameters_.noise.size();
  if (!(hyperparameters_.task_covariance(m - 1, m - 1) > 0.0)) {
    input_error("gp", "task covariance: wanted a positive variance for the last task");
  }
  for (const std::vector<double>& x : candidates_) {
    if (x.size() != hyperparameters_.lengthscales.size()) {
      input_error("gp", "candidates: wanted {} inputs, got {}", hyperparameters_.lengthscales.size(), x.size());
    }
    for (double value : x) {
      if (!std::isfinite(value)) input_error("gp", "candidates: wanted finite inputs, got {}", value);
    }
  }
  std::vector<size_t> rows, tasks;
  for (const Observation& o : gp.observations()) {
    rows.push_back(kernel_row(o.x));
    tasks.push_back(static_cast<size_t>(o.task));
  }
  full_ = make_process(hyperparameters_.task_covariance, rows, tasks);
  std::vector<size_t> lower_rows, lower_tasks;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (tasks[i] + 1 == m) continue;
    lower_rows.push_back(rows[i]);
    lower_tasks.push_back(tasks[i]);
  }
  residual_ = make_process(residual_task_covariance(hyperparameters_.task_covariance), lower_rows, lower_tasks);
}

size_t InformationGain::kernel_row(const std::vector<double>& x) {
  const auto [place, is_new] = row_of_.try_emplace(x, points_.size());
  if (is_new) {
    points_.push_back(x);
    std::vector<double>& row = kernel_.emplace_back(candidates_.size());
    for (size_t c = 0; c < candidates_.size(); ++c) row[c] = between(x, candidates_[c]);
  }
  return place->second;
}

double InformationGain::between(const std::vector<double>& a, const std::vector<double>& b) const {
  return covariance(hyperparameters_.kernel, a, b, hyperparameters_.lengthscales);
}

InformationGain::Process InformationGain::make_process(const Matrix& task_covariance, const std::vector<size_t>& rows,
                                                       const std::vector<size_t>& tasks) const {
  const size_t n = rows.size(), m = task_covariance.rows();
  Matrix sigma(n, n);
  for (size_t j = 0; j < n; ++j) {
    for (size_t i = j; i < n; ++i) {
      sigma(i, j) = task_covariance(tasks[i], tasks[j]) * between(points_[rows[i]], points_[rows[j]]);
    }
    sigma(j, j) += hyperparameters_.noise[tasks[j]];
  }
  Process process{task_covariance, rows, tasks, Cholesky(std::move(sigma)), {}};
  process.blocks.resize(candidates_.size() * m * m);
  parallel_for(static_cast<int64_t>(candidates_.size()), kSolveChunk, [&](int64_t begin, int64_t end) {
    const size_t first = static_cast<size_t>(begin), count = static_cast<size_t>(end - begin);
    // Column c·m + l: covariances of the observations with f_l at candidate c.
    Matrix cross(n, count * m);
    for (size_t c = 0; c < count; ++c) {
      for (size_t l = 0; l < m; ++l) {
        for (size_t i = 0; i < n; ++i) {
          cross(i, c * m + l) = task_covariance(l, tasks[i]) * kernel_[rows[i]][first + c];
        }
      }
    }
    cross = process.cholesky.solve_lower(std::move(cross));
    for (size_t c = 0; c < count; ++c) {
      double* block = process.blocks.data() + (first + c) * m * m;
      for (size_t a = 0; a < m; ++a) {
        for (size_t b = 0; b < m; ++b) {
          const double *left = cross.column(c * m + a), *right = cross.column(c * m + b);
          double known = 0.0;
          for (size_t i = 0; i < n; ++i) known += left[i] * right[i];
          block[a * m + b] = task_covariance(a, b) - known;
        }
      }
    }
  });
  return process;
}

double InformationGain::variance(const Process& process, size_t candidate, size_t task) const {
  const size_t m = hyperparameters_.noise.size();
  return std::max(process.blocks[candidate * m * m + task * m + task], 0.0);
}

double InformationGain::log_determinant(const Process& process, size_t candidate, size_t first, size_t last) const {
  const size_t m = hyperparameters_.noise.size(), count = last - first + 1;
  const double* block = process.blocks.data() + candidate * m * m;
  Matrix noisy(count, count);
  for (size_t a = 0; a < count; ++a) {
    for (size_t b = 0; b < count; ++b) noisy(a, b) = block[(first + a) * m + first + b];
    noisy(a, a) += hyperparameters_.noise[first + a];
  }
  return Cholesky(std::move(noisy)).log_determinant();
}

double InformationGain::information(size_t candidate, int task) const {
  check(candidate, task);
  const size_t t = static_cast<size_t>(task);
  const double noise = hyperparameters_.noise[t];
  return std::max(0.5 * std::log((variance(full_, candidate, t) + noise) / (variance(residual_, candidate, t) + noise)),
                  0.0);
}

double InformationGain::run_information(size_t candidate, int top_task) const {
  return run_information(candidate, 0, top_task);
}

double InformationGain::run_information(size_t candidate, int first_task, int top_task) const {
  check(candidate, first_task);
  check(candidate, top_task);
  if (first_task > top_task)
    input_error("gp", "tasks of a run: wanted first <= last, got {} and {}", first_task, top_task);
  const size_t first = static_cast<size_t>(first_task), last = static_cast<size_t>(top_task);
  return std::max(
      0.5 * (log_determinant(full_, candidate, first, last) - log_determinant(residual_, candidate, first, last)), 0.0);
}

void InformationGain::append(size_t candidate, int task) {
  check(candidate, task);
  const size_t row = kernel_row(candidates_[candidate]);
  const size_t t = static_cast<size_t>(task);
  append_to(full_, candidate, t, row);
  if (t + 1 < hyperparameters_.noise.size()) append_to(residual_, candidate, t, row);
}

void InformationGain::append_to(Process& process, size_t candidate, size_t task, size_t row) const {
  const size_t n = process.rows.size(), m = hyperparameters_.noise.size();
  std::vector<double> column(n);  // covariances of the observations with the new one
  for (size_t i = 0; i < n; ++i) {
    column[i] = process.task_covariance(process.tasks[i], task) * kernel_[process.rows[i]][candidate];
  }
  const std::vector<double> weights = process.cholesky.solve(column);
  const double spread = variance(process, candidate, task) + hyperparameters_.noise[task];
  parallel_for(static_cast<int64_t>(candidates_.size()), kUpdateChunk, [&](int64_t begin, int64_t end) {
    const size_t first = static_cast<size_t>(begin), count = static_cast<size_t>(end - begin);
    // Row t: what multiplies Kf[l,t] in the posterior covariance of f_l(x_c) with the new observation.
    std::vector<double> parts(m * count, 0.0);
    for (size_t c = 0; c < count; ++c) parts[task * count + c] = kernel_[row][first + c];
    for (size_t i = 0; i < n; ++i) {
      const double* k = kernel_[process.rows[i]].data() + first;
      double* part = parts.data() + process.tasks[i] * count;
      for (size_t c = 0; c < count; ++c) part[c] -= weights[i] * k[c];
    }
    std::vector<double> gamma(m);
    for (size_t c = 0; c < count; ++c) {
      for (size_t l = 0; l < m; ++l) {
        gamma[l] = 0.0;
        for (size_t t = 0; t < m; ++t) gamma[l] += process.task_covariance(l, t) * parts[t * count + c];
      }
      double* block = process.blocks.data() + (first + c) * m * m;
      for (size_t a = 0; a < m; ++a) {
        for (size_t b = 0; b < m; ++b) block[a * m + b] -= gamma[a] * gamma[b] / spread;
      }
    }
  });
  process.cholesky.append(column, process.task_covariance(task, task) + hyperparameters_.noise[task]);
  process.rows.push_back(row);
  process.tasks.push_back(task);
}

void InformationGain::check(size_t candidate, int task) const {
  if (candidate >= candidates_.size()) {
    input_error("gp", "candidate: wanted less than {}, got {}", candidates_.size(), candidate);
  }
  if (task < 0 || task >= tasks()) input_error("gp", "task: wanted 0..{}, got {}", tasks() - 1, task);
}

}  // namespace kronbit::gp
