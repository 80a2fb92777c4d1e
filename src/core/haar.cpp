#include "gradflow/core/haar.hpp"

#include "gradflow/core/errors.hpp"
#include "gradflow/core/orthonormalise.hpp"

namespace gradflow {

Matrix<double> haar_orthogonal(Stream stream, int n) {
  expect(n >= 1, "an orthogonal matrix has at least one row");
  Matrix<double> q(n, n);
  for (int i = 0; i < n; ++i) fill_normal(stream, std::uint32_t(i), q.row(i));
  orthonormalise_rows(q, n);
  return q;
}

}  // namespace gradflow
