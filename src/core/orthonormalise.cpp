#include "gradflow/core/orthonormalise.hpp"

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
  const int m = a.cols();
  const int n = a.rows();
  std::vector<double> tau(std::size_t(std::min(m, n)), 0);
  lapack::with_workspace("dgeqrf", [&](double* work, int size, int* info) {
    dgeqrf_(&m, &n, a.data(), &m, tau.data(), work, &size, info);
  });
  return tau;
}

/// The first rows of Q in place of the reflectors.
void form_q(Matrix<double>& a, int rows, const std::vector<double>& tau) {
  const int m = a.cols();
  lapack::with_workspace("dorgqr", [&](double* work, int size, int* info) {
    dorgqr_(&m, &rows, &rows, a.data(), &m, tau.data(), work, &size, info);
  });
}

Matrix<double> lower_part(const Matrix<double>& a, int rank) {
  Matrix<double> lower(a.rows(), rank);
  for (int i = 0; i < a.rows(); ++i)
    std::ranges::copy(a.row(i).first(std::size_t(std::min(i + 1, rank))), lower.row(i).begin());
  return lower;
}

Matrix<double> first_rows(Matrix<double> a, int rows) {
  if (rows == a.rows()) return a;
  Matrix<double> first = Matrix<double>::unset(rows, a.cols());
  std::copy_n(a.data(), first.size(), first.data());
  return first;
}

void make_diagonal_positive(Matrix<double>& lower, Matrix<double>& q) {
  for (int j = 0; j < lower.cols(); ++j) {
    if (!(lower(j, j) < 0)) continue;
    for (int i = j; i < lower.rows(); ++i) lower(i, j) = -lower(i, j);
    std::ranges::for_each(q.row(j), [](double& x) { x = -x; });
  }
}

}  // namespace

Matrix<double> orthonormalise_rows(Matrix<double>& a, int rank) {
  expect(0 <= rank && rank <= std::min(a.rows(), a.cols()), "no more directions than rows and columns");
  if (rank == 0) {
    Matrix<double> nothing(a.rows(), 0);
    a = Matrix<double>(0, a.cols());
    return nothing;
  }
  const std::vector<double> tau = factorise(a);
  Matrix<double> lower = lower_part(a, rank);
  form_q(a, rank, tau);
  a = first_rows(std::move(a), rank);
  make_diagonal_positive(lower, a);
  return lower;
}

}  // namespace gradflow
