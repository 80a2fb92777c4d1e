#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradflow/core/matrix.hpp"
#include "gradflow/core/scaled.hpp"

namespace gradflow {

/// A product of lower triangular factors, growing on its right, whose singular values may differ by any power
/// of ten: X D, the columns of X of the order of 1, D diagonal, falling, without limit of size.
///
/// In the form U D T of stable products, of which the orthogonal side is kept by who makes the factors: rows
/// made orthonormal after every factor, see orthonormalise_rows. Loh et al., Stable matrix-multiplication
/// algorithms (1989); sorting before each factor is the pre-pivoting of Gogolenko, Bai & Scalettar (2014).
class GradedProduct {
 public:
  /// The identity of so many rows.
  explicit GradedProduct(int rows);

  int rows() const noexcept { return x_.rows(); }
  /// Directions left: columns of X.
  int rank() const noexcept { return x_.cols(); }

  /// X D <- X D diag(2^exponents) lower, its columns brought into the order of D.
  /// @param lower  [rank][new rank], zero above the diagonal
  /// @return       the order: column i was column order[i] of `lower`
  std::vector<int> multiply(const Matrix<double>& lower, std::span<const std::int64_t> exponents);

  /// |X D|_F^2
  Scaled frobenius_squared() const;

  /// All rows() of them, falling; exact zeros for the directions that were lost.
  ///
  /// QR of X, then one-sided Jacobi on the rows of R D, each with an exponent of its own: every value has a
  /// relative error of the order of rounding times the condition of X with its columns scaled. Demmel et al.,
  /// Computing the singular value decomposition with high relative accuracy (1999).
  std::vector<Scaled> singular_values() const;

  /// As numbers, always as many for so many rows; and back, to the last bit.
  std::vector<double> packed() const;
  static GradedProduct unpacked(int rows, std::span<const double> numbers);
  static std::size_t packed_size(int rows);

 private:
  Matrix<double> x_;       ///< [rows][rank]
  std::vector<Scaled> d_;  ///< [rank], positive, falling
};

}  // namespace gradflow
