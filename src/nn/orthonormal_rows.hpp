#pragma once

#include "gradflow/core/matrix.hpp"
#include "gradflow/core/random.hpp"

namespace gradflow::nn {

/// Rows first, first + 1, ... of a normal table made orthonormal in their order. Row i does not depend on the
/// rows after it, so more rows leave it as it is.
/// @pre 0 <= rows <= width
/// @return [rows][width]; a row that lies within the span of those before it is zero
Matrix<double> orthonormal_rows(Stream stream, int first, int rows, int width);

}  // namespace gradflow::nn
