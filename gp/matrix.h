// Small dense linear algebra in double precision on LAPACK: what Gaussian processes need and nothing else.
// LAPACK is always called with one thread, because its last bits depend on the number of threads; parallelism belongs
// to the callers.
#pragma once

#include <cstddef>
#include <vector>

namespace kronbit::gp {

/// A dense matrix, column by column as LAPACK wants it.
class Matrix {
 public:
  Matrix() = default;
  Matrix(size_t rows, size_t cols, double value = 0.0) : rows_(rows), cols_(cols), data_(rows * cols, value) {}
  static Matrix identity(size_t n);
  /// Entries are unspecified. Memory is kept: fresh pages cost as much as the arithmetic on them.
  void reshape(size_t rows, size_t cols);

  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  double& operator()(size_t i, size_t j) { return data_[i + j * rows_]; }
  double operator()(size_t i, size_t j) const { return data_[i + j * rows_]; }
  double* column(size_t j) { return data_.data() + j * rows_; }
  const double* column(size_t j) const { return data_.data() + j * rows_; }
  double* data() { return data_.data(); }
  const double* data() const { return data_.data(); }

 private:
  size_t rows_ = 0, cols_ = 0;
  std::vector<double> data_;
};

Matrix transpose(const Matrix& a);
/// R of A = QR: RᵀR = AᵀA. Requires: at least as many rows as columns.
Matrix upper_factor(Matrix a);
/// B Uᵀ, U upper triangular.
Matrix multiply_upper_transposed(Matrix b, const Matrix& upper);
/// Shapes:   a [n, k], b [k, m]; returns [n, m]
Matrix multiply(const Matrix& a, const Matrix& b);
double dot(const std::vector<double>& a, const std::vector<double>& b);

/// Part of a matrix, for products of parts: where it begins, its shape, and the distance between its columns.
struct Block {
  const double* begin;
  size_t rows, cols, stride;
};
/// C = A B and C = A Bᵀ, C dense: a.rows doubles per column.
void multiply(const Block& a, const Block& b, double* c);
void multiply_transposed(const Block& a, const Block& b, double* c);

/// A = L Lᵀ, with what had to be added to the diagonal of A to get it.
class Cholesky {
 public:
  /// Tries A, then A + jitter I with jitter 1e-8, 1e-7, ... 1e-3.
  /// Requires: a square, symmetric (only its lower triangle is read), of the order of 1.
  /// Throws:   NumericalError when an entry is not finite, or when even the largest jitter does not help.
  /// Source:   Rasmussen & Williams 2006 p. 45 (numerical noise on the diagonal)
  explicit Cholesky(const Matrix& a) { factorize(a); }
  Cholesky() = default;             ///< of the empty matrix
  void factorize(const Matrix& a);  ///< the same in the memory of the one before

  size_t size() const { return lower_.rows(); }
  const Matrix& lower() const { return lower_; }                 ///< L; zero above the diagonal
  double jitter() const { return jitter_; }                      ///< 0 almost always
  double log_determinant() const;                                ///< of A
  std::vector<double> solve(std::vector<double> b) const;        ///< A⁻¹ b
  std::vector<double> solve_lower(std::vector<double> b) const;  ///< L⁻¹ b
  std::vector<double> solve_upper(std::vector<double> b) const;  ///< L⁻ᵀ b
  Matrix solve_lower(Matrix b) const;                            ///< L⁻¹ B
  Matrix solve_lower_rows(Matrix b) const;                       ///< B L⁻ᵀ: the same for right-hand sides in rows
  Matrix inverse() const;                                        ///< A⁻¹, both triangles
  void inverse_lower_triangle(Matrix& result) const;             ///< of A⁻¹; zero above the diagonal
  Matrix inverse_lower() const;                                  ///< L⁻¹, zero above the diagonal

  /// Grows A by one row and column in O(n²) plus a copy of L.
  /// Formula:  new row of L: cᵀ = (L⁻¹ column)ᵀ, pivot = sqrt(diagonal − cᵀc)
  /// Throws:   NumericalError when the pivot would not be positive
  void append(const std::vector<double>& column, double diagonal);

 private:
  Matrix lower_;
  double jitter_ = 0.0;
};

/// A = Q diag(values) Qᵀ, values ascending, eigenvectors the columns of Q.
struct Eigen {
  std::vector<double> values;
  Matrix vectors;
};
/// Requires: a symmetric (only its lower triangle is read). Throws: NumericalError.
Eigen eigen_symmetric(Matrix a);

}  // namespace kronbit::gp
