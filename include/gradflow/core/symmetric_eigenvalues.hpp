#pragma once

#include <vector>

#include "gradflow/core/matrix.hpp"

namespace gradflow {

/// The eigenvalues of a symmetric matrix in ascending order, by LAPACK's dsyev; only its lower triangle is
/// read.
std::vector<double> symmetric_eigenvalues(Matrix<double> a);

}  // namespace gradflow
