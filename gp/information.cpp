#include "gp/information.h"

#include <algorithm>
#include <cmath>

#include "tensor/base/error.h"
#include "tensor/parallel.h"

namespace kronbit::gp {
namespace {

constexpr int64_t kSolveChunk = 512;    // candidates a thread takes at a time ...
constexpr size_t kSolveStep = 128;      // ... and works on together: what is computed of them stays in the cache
constexpr int64_t kUpdateChunk = 1024;  // an update is cheap: below this threads cost more than they bring

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
    : candidates_(std::move(candidates)),
      hyperparameters_(gp.hyperparameters()),
      covariance_(hyperparameters_.covariance()),
      prior_(candidates_.size()) {
  const size_t m = hyperparameters_.noise.size();
  if (!(hyperparameters_.task_covariance(m - 1, m - 1) > 0.0)) {
    input_error("gp", "task covariance: wanted a positive variance for the last task");
  }
  for (size_t c = 0; c < candidates_.size(); ++c) {
    if (candidates_[c].size() != covariance_.inputs()) {
      input_error("gp", "candidates: wanted {} inputs, got {}", covariance_.inputs(), candidates_[c].size());
    }
    for (double value : candidates_[c]) {
      if (!std::isfinite(value)) input_error("gp", "candidates: wanted finite inputs, got {}", value);
    }
    prior_[c] = covariance_.variance(candidates_[c]);
  }
  coordinates_ = coordinates(candidates_, covariance_.inputs());
  std::vector<Observation> ordered = gp.observations();
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const Observation& a, const Observation& b) { return a.task < b.task; });
  const DistinctPoints distinct = distinct_points(ordered);
  kernel_.resize(candidates_.size() * distinct.x.size());
  for (size_t p = 0; p < distinct.x.size(); ++p) column_of_[distinct.x[p]] = p;
  parallel_for(static_cast<int64_t>(distinct.x.size()), 1, [&](int64_t begin, int64_t end) {
    for (size_t p = static_cast<size_t>(begin); p < static_cast<size_t>(end); ++p) {
      covariance_.row(distinct.x[p], coordinates_, 0, candidates_.size(), kernel_.data() + p * candidates_.size());
    }
  });
  const Matrix observed = covariance_.between(distinct.x);
  std::vector<size_t> points = distinct.of, tasks;
  for (const Observation& o : ordered) tasks.push_back(static_cast<size_t>(o.task));
  full_ = make_process(hyperparameters_.task_covariance, observed, points, tasks);
  while (!tasks.empty() && tasks.back() + 1 == m) points.pop_back(), tasks.pop_back();
  residual_ = make_process(residual_task_covariance(hyperparameters_.task_covariance), observed, points, tasks);
}

size_t InformationGain::kernel_column(const std::vector<double>& x) {
  const auto [place, is_new] = column_of_.try_emplace(x, column_of_.size());
  if (is_new) {
    kernel_.resize(kernel_.size() + candidates_.size());
    covariance_.row(x, coordinates_, 0, candidates_.size(), kernel_.data() + kernel_.size() - candidates_.size());
  }
  return place->second;
}

Block InformationGain::kernel_block(size_t first_candidate, size_t count) const {
  return {kernel_.data() + first_candidate, count, column_of_.size(), candidates_.size()};
}

InformationGain::Process InformationGain::make_process(const Matrix& task_covariance, const Matrix& observed,
                                                       std::vector<size_t> points, std::vector<size_t> tasks) const {
  const size_t n = points.size(), m = task_covariance.rows();
  Matrix sigma(n, n);
  for (size_t j = 0; j < n; ++j) {
    for (size_t i = j; i < n; ++i) sigma(i, j) = task_covariance(tasks[i], tasks[j]) * observed(points[i], points[j]);
    sigma(j, j) += hyperparameters_.noise[tasks[j]];
  }
  Process process{task_covariance, std::move(points), std::move(tasks), Cholesky(std::move(sigma)), {}};
  process.blocks.resize(candidates_.size() * m * m);
  const Matrix inverse = process.cholesky.inverse_lower();
  parallel_for(static_cast<int64_t>(candidates_.size()), kSolveChunk, [&](int64_t begin, int64_t end) {
    Scratch scratch;
    for (size_t first = static_cast<size_t>(begin), last = static_cast<size_t>(end); first < last;
         first += kSolveStep) {
      fill_blocks(process, inverse, first, std::min(kSolveStep, last - first), scratch);
    }
  });
  return process;
}

void InformationGain::fill_blocks(Process& process, const Matrix& inverse, size_t first, size_t count,
                                  Scratch& scratch) const {
  const size_t n = process.points.size(), m = process.task_covariance.rows();
  std::vector<size_t> task_begin(m);
  auto& [k, s, v] = scratch;
  v.resize(m);
  for (size_t a = 0; a < m; ++a) {
    const auto [lowest, highest] = std::equal_range(process.tasks.begin(), process.tasks.end(), a);
    const size_t begin = static_cast<size_t>(lowest - process.tasks.begin()),
                 size = static_cast<size_t>(highest - lowest);
    task_begin[a] = begin;
    k.reshape(count, size);
    for (size_t i = 0; i < size; ++i) {
      std::copy_n(kernel_.data() + process.points[begin + i] * candidates_.size() + first, count, k.column(i));
    }
    v[a].reshape(count, n - begin);
    if (size == 0) {
      std::fill_n(v[a].data(), count * (n - begin), 0.0);
    } else {
      multiply_transposed({k.data(), count, size, count}, {inverse.column(begin) + begin, n - begin, size, n},
                          v[a].data());
    }
  }
  s.reshape(count, m * m);
  for (size_t a = 0; a < m; ++a) {
    for (size_t b = a; b < m; ++b) {
      double* sum = s.column(a * m + b);
      std::fill_n(sum, count, 0.0);
      for (size_t i = task_begin[b]; i < n; ++i) {
        const double *left = v[a].column(i - task_begin[a]), *right = v[b].column(i - task_begin[b]);
#pragma omp simd
        for (size_t c = 0; c < count; ++c) sum[c] += left[c] * right[c];
      }
      std::copy_n(sum, count, s.column(b * m + a));
    }
  }
  Matrix half(m, m);  // Kf S
  for (size_t c = 0; c < count; ++c) {
    double* block = process.blocks.data() + (first + c) * m * m;
    for (size_t l = 0; l < m; ++l) {
      for (size_t b = 0; b < m; ++b) {
        half(l, b) = 0.0;
        for (size_t a = 0; a < m; ++a) half(l, b) += process.task_covariance(l, a) * s(c, a * m + b);
      }
    }
    for (size_t l = 0; l < m; ++l) {
      for (size_t r = 0; r < m; ++r) {
        double known = 0.0;
        for (size_t b = 0; b < m; ++b) known += half(l, b) * process.task_covariance(b, r);
        block[l * m + r] = process.task_covariance(l, r) * prior_[first + c] - known;
      }
    }
  }
}

double InformationGain::variance(const Process& process, size_t candidate, size_t task) const {
  const size_t m = hyperparameters_.noise.size();
  return std::max(process.blocks[candidate * m * m + task * m + task], 0.0);
}

// Gaussian elimination: the determinant is the product of the pivots, each positive by the noise.
double InformationGain::log_determinant(const Process& process, size_t candidate, size_t first, size_t last) const {
  const size_t m = hyperparameters_.noise.size(), count = last - first + 1;
  const double* block = process.blocks.data() + candidate * m * m;
  std::vector<double> noisy(count * count);
  double determinant = 1.0;
  for (size_t a = 0; a < count; ++a) {
    double* row = noisy.data() + a * count;
    for (size_t b = 0; b < count; ++b) row[b] = block[(first + a) * m + first + b];
    row[a] += hyperparameters_.noise[first + a];
    for (size_t p = 0; p < a; ++p) {
      const double* pivot = noisy.data() + p * count;
      const double share = row[p] / pivot[p];
      for (size_t b = p + 1; b < count; ++b) row[b] -= share * pivot[b];
    }
    if (!(row[a] > 0.0)) {
      throw NumericalError("[gp] a posterior covariance is not positive definite: raise the noise variances");
    }
    determinant *= row[a];
  }
  return std::log(determinant);
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
  const size_t point = kernel_column(candidates_[candidate]);
  const size_t t = static_cast<size_t>(task);
  append_to(full_, candidate, t, point);
  if (t + 1 < hyperparameters_.noise.size()) append_to(residual_, candidate, t, point);
}

void InformationGain::append_to(Process& process, size_t candidate, size_t task, size_t point) const {
  const size_t n = process.points.size(), m = hyperparameters_.noise.size();
  std::vector<double> column(n);  // covariances of the observations with the new one
  for (size_t i = 0; i < n; ++i) {
    column[i] =
        process.task_covariance(process.tasks[i], task) * kernel_[process.points[i] * candidates_.size() + candidate];
  }
  const std::vector<double> weights = process.cholesky.solve(column);
  // Of k(x_p, x_c): how often it counts, times Kf[l,t], in the posterior covariance of f_l(x_c) with the new one.
  Matrix counts(column_of_.size(), m);
  counts(point, task) += 1.0;
  for (size_t i = 0; i < n; ++i) counts(process.points[i], process.tasks[i]) -= weights[i];
  counts = multiply(counts, process.task_covariance);
  const double spread = variance(process, candidate, task) + hyperparameters_.noise[task];
  parallel_for(static_cast<int64_t>(candidates_.size()), kUpdateChunk, [&](int64_t begin, int64_t end) {
    const size_t first = static_cast<size_t>(begin), count = static_cast<size_t>(end - begin);
    Matrix gamma(count, m);
    multiply(kernel_block(first, count), {counts.data(), counts.rows(), m, counts.rows()}, gamma.data());
    for (size_t c = 0; c < count; ++c) {
      double* block = process.blocks.data() + (first + c) * m * m;
      for (size_t a = 0; a < m; ++a) {
        for (size_t b = 0; b < m; ++b) block[a * m + b] -= gamma(c, a) * gamma(c, b) / spread;
      }
    }
  });
  process.cholesky.append(column,
                          process.task_covariance(task, task) * prior_[candidate] + hyperparameters_.noise[task]);
  process.points.push_back(point);
  process.tasks.push_back(task);
}

void InformationGain::check(size_t candidate, int task) const {
  if (candidate >= candidates_.size()) {
    input_error("gp", "candidate: wanted less than {}, got {}", candidates_.size(), candidate);
  }
  if (task < 0 || task >= tasks()) input_error("gp", "task: wanted 0..{}, got {}", tasks() - 1, task);
}

}  // namespace kronbit::gp
