#pragma once

#include "gradflow/core/matrix.hpp"

namespace gradflow {

/// Makes the rows of `a` orthonormal in their order: a = L Q by Householder QR of its transpose.
///
/// Scaling a row scales its row of L and nothing else, so rows may differ in size without limit.
/// @param a     [k][n], becomes Q, [rank][n]
/// @param rank  how many directions the rows span, at most min(k, n): what lies beyond is rounding
/// @return      L, [k][rank], zero above its diagonal, which is not negative
Matrix<double> orthonormalise_rows(Matrix<double>& a, int rank);

}  // namespace gradflow
