#include "gp/matrix.h"

#include <cblas.h>

#include <cmath>

#include "tensor/base/error.h"

extern "C" {  // LAPACK; the last arguments are the hidden lengths of Fortran strings
void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info, size_t);
void dpotri_(const char* uplo, const int* n, double* a, const int* lda, int* info, size_t);
void dtrtri_(const char* uplo, const char* diag, const int* n, double* a, const int* lda, int* info, size_t, size_t);
void dgeqrf_(const int* m, const int* n, double* a, const int* lda, double* tau, double* work, const int* lwork,
             int* info);
void dsyev_(const char* jobz, const char* uplo, const int* n, double* a, const int* lda, double* w, double* work,
            const int* lwork, int* info, size_t, size_t);
}

namespace kronbit::gp {
namespace {

// The number of threads changes the last bits of LAPACK's results; set anew at every entry, as others may change it.
void use_one_thread() {
  if (openblas_get_num_threads() != 1) openblas_set_num_threads(1);
}

int lapack_size(size_t n) {
  if (n > 40000) throw NumericalError(fmt::format("[gp] a {0} x {0} matrix is too large: use fewer observations", n));
  return static_cast<int>(n);
}

// LAPACK refuses a leading dimension of 0.
int leading(size_t rows) { return rows == 0 ? 1 : lapack_size(rows); }

// The lower triangle, which is all that is read.
bool all_finite(const Matrix& a) {
  for (size_t j = 0; j < a.cols(); ++j) {
    for (size_t i = j; i < a.rows(); ++i) {
      if (!std::isfinite(a(i, j))) return false;
    }
  }
  return true;
}

// 0 on success, else the order of the first leading minor that is not positive.
int factorize_in_place(Matrix& a) {
  use_one_thread();
  const int n = lapack_size(a.rows()), lda = leading(a.rows());
  int info = 0;
  dpotrf_("L", &n, a.data(), &lda, &info, 1);
  KB_CHECK(info >= 0);
  return info;
}

void triangular_solve(const Matrix& lower, CBLAS_TRANSPOSE transposed, double* b) {
  use_one_thread();
  cblas_dtrsv(CblasColMajor, CblasLower, transposed, CblasNonUnit, lapack_size(lower.rows()), lower.data(),
              leading(lower.rows()), b, 1);
}

}  // namespace

Matrix Matrix::identity(size_t n) {
  Matrix result(n, n);
  for (size_t i = 0; i < n; ++i) result(i, i) = 1.0;
  return result;
}

void Matrix::reshape(size_t rows, size_t cols) {
  rows_ = rows;
  cols_ = cols;
  data_.resize(rows * cols);
}

Matrix transpose(const Matrix& a) {
  Matrix result(a.cols(), a.rows());
  for (size_t j = 0; j < a.cols(); ++j) {
    for (size_t i = 0; i < a.rows(); ++i) result(j, i) = a(i, j);
  }
  return result;
}

Matrix multiply(const Matrix& a, const Matrix& b) {
  KB_CHECK_EQ(a.cols(), b.rows());
  Matrix result(a.rows(), b.cols());
  use_one_thread();
  cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, lapack_size(a.rows()), lapack_size(b.cols()),
              lapack_size(a.cols()), 1.0, a.data(), leading(a.rows()), b.data(), leading(b.rows()), 0.0, result.data(),
              leading(a.rows()));
  return result;
}

void multiply(const Block& a, const Block& b, double* c) {
  KB_CHECK_EQ(a.cols, b.rows);
  use_one_thread();
  cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, lapack_size(a.rows), lapack_size(b.cols), lapack_size(a.cols),
              1.0, a.begin, leading(a.stride), b.begin, leading(b.stride), 0.0, c, leading(a.rows));
}

void multiply_transposed(const Block& a, const Block& b, double* c) {
  KB_CHECK_EQ(a.cols, b.cols);
  use_one_thread();
  cblas_dgemm(CblasColMajor, CblasNoTrans, CblasTrans, lapack_size(a.rows), lapack_size(b.rows), lapack_size(a.cols),
              1.0, a.begin, leading(a.stride), b.begin, leading(b.stride), 0.0, c, leading(a.rows));
}

Matrix upper_factor(Matrix a) {
  KB_CHECK(a.rows() >= a.cols());
  use_one_thread();
  const int m = lapack_size(a.rows()), n = lapack_size(a.cols()), lda = leading(a.rows());
  std::vector<double> tau(a.cols()), work(1);
  int info = 0, ask = -1;
  dgeqrf_(&m, &n, a.data(), &lda, tau.data(), work.data(), &ask, &info);
  KB_CHECK_EQ(info, 0);
  work.resize(static_cast<size_t>(work[0]));
  const int work_size = static_cast<int>(work.size());
  dgeqrf_(&m, &n, a.data(), &lda, tau.data(), work.data(), &work_size, &info);
  KB_CHECK_EQ(info, 0);
  Matrix result(a.cols(), a.cols());
  for (size_t j = 0; j < a.cols(); ++j) {
    for (size_t i = 0; i <= j; ++i) result(i, j) = a(i, j);
  }
  return result;
}

Matrix multiply_upper_transposed(Matrix b, const Matrix& upper) {
  KB_CHECK_EQ(b.cols(), upper.rows());
  use_one_thread();
  cblas_dtrmm(CblasColMajor, CblasRight, CblasUpper, CblasTrans, CblasNonUnit, lapack_size(b.rows()),
              lapack_size(b.cols()), 1.0, upper.data(), leading(upper.rows()), b.data(), leading(b.rows()));
  return b;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  KB_CHECK_EQ(a.size(), b.size());
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void Cholesky::factorize(const Matrix& a) {
  KB_CHECK_EQ(a.rows(), a.cols());
  const size_t n = a.rows();
  if (!all_finite(a)) {
    throw NumericalError(
        "[gp] a covariance has an entry that is not finite: check the observations and hyper-parameters");
  }
  for (int attempt = 0; attempt <= 6; ++attempt) {
    jitter_ = attempt == 0 ? 0.0 : 1e-9 * std::pow(10.0, attempt);
    lower_ = a;
    for (size_t i = 0; i < n; ++i) lower_(i, i) += jitter_;
    if (factorize_in_place(lower_) == 0) {
      for (size_t j = 1; j < n; ++j) {
        for (size_t i = 0; i < j; ++i) lower_(i, j) = 0.0;
      }
      return;
    }
  }
  throw NumericalError(fmt::format(
      "[gp] a {0} x {0} covariance is not positive definite, even with {1:g} added to its diagonal: raise the "
      "noise variances, or drop repeated observations",
      n, jitter_));
}

double Cholesky::log_determinant() const {
  double sum = 0.0;
  for (size_t i = 0; i < size(); ++i) sum += std::log(lower_(i, i));
  return 2.0 * sum;
}

std::vector<double> Cholesky::solve(std::vector<double> b) const { return solve_upper(solve_lower(std::move(b))); }

std::vector<double> Cholesky::solve_lower(std::vector<double> b) const {
  KB_CHECK_EQ(b.size(), size());
  triangular_solve(lower_, CblasNoTrans, b.data());
  return b;
}

std::vector<double> Cholesky::solve_upper(std::vector<double> b) const {
  KB_CHECK_EQ(b.size(), size());
  triangular_solve(lower_, CblasTrans, b.data());
  return b;
}

Matrix Cholesky::solve_lower(Matrix b) const {
  KB_CHECK_EQ(b.rows(), size());
  use_one_thread();
  cblas_dtrsm(CblasColMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, lapack_size(size()),
              static_cast<int>(b.cols()), 1.0, lower_.data(), leading(size()), b.data(), leading(size()));
  return b;
}

Matrix Cholesky::solve_lower_rows(Matrix b) const {
  KB_CHECK_EQ(b.cols(), size());
  use_one_thread();
  cblas_dtrsm(CblasColMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, lapack_size(b.rows()),
              lapack_size(size()), 1.0, lower_.data(), leading(size()), b.data(), leading(b.rows()));
  return b;
}

Matrix Cholesky::inverse_lower() const {
  use_one_thread();
  Matrix result = lower_;
  const int n = lapack_size(size()), lda = leading(size());
  int info = 0;
  dtrtri_("L", "N", &n, result.data(), &lda, &info, 1, 1);
  KB_CHECK_EQ(info, 0);
  return result;
}

Matrix Cholesky::inverse() const {
  Matrix result;
  inverse_lower_triangle(result);
  for (size_t j = 1; j < size(); ++j) {
    for (size_t i = 0; i < j; ++i) result(i, j) = result(j, i);
  }
  return result;
}

void Cholesky::inverse_lower_triangle(Matrix& result) const {
  use_one_thread();
  result = lower_;
  const int n = lapack_size(size()), lda = leading(size());
  int info = 0;
  dpotri_("L", &n, result.data(), &lda, &info, 1);
  KB_CHECK_EQ(info, 0);
}

void Cholesky::append(const std::vector<double>& column, double diagonal) {
  const size_t n = size();
  const std::vector<double> row = solve_lower(column);
  const double pivot = diagonal + jitter_ - dot(row, row);
  if (!(pivot > 0.0) || !std::isfinite(pivot)) {
    throw NumericalError("[gp] an appended observation makes the covariance singular: raise the noise variances");
  }
  Matrix grown(n + 1, n + 1);
  for (size_t j = 0; j < n; ++j) {
    for (size_t i = j; i < n; ++i) grown(i, j) = lower_(i, j);
    grown(n, j) = row[j];
  }
  grown(n, n) = std::sqrt(pivot);
  lower_ = std::move(grown);
}

Eigen eigen_symmetric(Matrix a) {
  KB_CHECK_EQ(a.rows(), a.cols());
  if (!all_finite(a)) throw NumericalError("[gp] a matrix to decompose has an entry that is not finite");
  use_one_thread();
  const int n = lapack_size(a.rows()), lda = leading(a.rows());
  Eigen result{std::vector<double>(a.rows()), {}};
  int info = 0, ask = -1;
  double best_size = 0.0;
  dsyev_("V", "L", &n, a.data(), &lda, result.values.data(), &best_size, &ask, &info, 1, 1);
  KB_CHECK_EQ(info, 0);
  const int work_size = static_cast<int>(best_size);
  std::vector<double> work(static_cast<size_t>(work_size));
  dsyev_("V", "L", &n, a.data(), &lda, result.values.data(), work.data(), &work_size, &info, 1, 1);
  if (info != 0) throw NumericalError("[gp] the eigenvalue iteration did not converge: use the dense model instead");
  result.vectors = std::move(a);
  return result;
}

}  // namespace kronbit::gp
