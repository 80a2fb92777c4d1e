#include "gradflow/core/symmetric_eigenvalues.hpp"

#include "gradflow/core/errors.hpp"
#include "lapack.hpp"

extern "C" void dsyev_(const char* job, const char* triangle, const int* n, double* a, const int* lda,
                       double* values, double* work, const int* lwork, int* info);

namespace gradflow {

std::vector<double> symmetric_eigenvalues(Matrix<double> a) {
  expect(a.rows() == a.cols(), "a symmetric matrix is square");
  const int n = a.rows();
  std::vector<double> values(std::size_t(n), 0);
  if (n == 0) return values;
  // Our lower triangle is the upper one of LAPACK, which reads columns where we have rows.
  lapack::with_workspace("dsyev", [&](double* work, int size, int* info) {
    dsyev_("N", "U", &n, a.data(), &n, values.data(), work, &size, info);
  });
  return values;
}

}  // namespace gradflow
