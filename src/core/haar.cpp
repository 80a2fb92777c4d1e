#include "gradflow/core/haar.hpp"

#include <algorithm>
#include <vector>

#include "gradflow/core/errors.hpp"
#include "lapack.hpp"

extern "C" {
void dgeqrf_(const int* m, const int* n, double* a, const int* lda, double* tau, double* work,
             const int* lwork, int* info);
void dorgqr_(const int* m, const int* n, const int* k, double* a, const int* lda, const double* tau,
             double* work, const int* lwork, int* info);
}

namespace gradflow {

namespace {

/// The reflectors of the QR factorisation, with R above them. LAPACK reads columns where we have rows.
std::vector<double> factorise(Matrix<double>& a) {
  const int n = a.rows();
  std::vector<double> tau(std::size_t(n), 0);
  lapack::with_workspace("dgeqrf", [&](double* work, int size, int* info) {
    dgeqrf_(&n, &n, a.data(), &n, tau.data(), work, &size, info);
  });
  return tau;
}

void form_q(Matrix<double>& a, const std::vector<double>& tau) {
  const int n = a.rows();
  lapack::with_workspace("dorgqr", [&](double* work, int size, int* info) {
    dorgqr_(&n, &n, &n, a.data(), &n, tau.data(), work, &size, info);
  });
}

std::vector<bool> negative_diagonal(const Matrix<double>& r) {
  std::vector<bool> negative;
  for (int i = 0; i < r.rows(); ++i) negative.push_back(r(i, i) < 0);
  return negative;
}

}  // namespace

Matrix<double> haar_orthogonal(Stream stream, int n) {
  expect(n >= 1, "an orthogonal matrix has at least one row");
  Matrix<double> q(n, n);
  for (int i = 0; i < n; ++i) fill_normal(stream, std::uint32_t(i), q.row(i));

  const std::vector<double> tau = factorise(q);
  const std::vector<bool> flip = negative_diagonal(q);
  form_q(q, tau);
  for (int i = 0; i < n; ++i) {
    if (flip[std::size_t(i)]) std::ranges::for_each(q.row(i), [](double& x) { x = -x; });
  }
  return q;
}

}  // namespace gradflow
