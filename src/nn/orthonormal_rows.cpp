#include "orthonormal_rows.hpp"

#include <array>
#include <cmath>

namespace gradflow::nn {
namespace {

/// Eight sums side by side, added in order: fast, and the same bits everywhere.
double dot(std::span<const double> a, std::span<const double> b) {
  std::array<double, 8> sums{};
  for (std::size_t j = 0; j < a.size(); ++j) sums[j % 8] += a[j] * b[j];
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

void subtract(std::span<double> a, double factor, std::span<const double> b) {
  for (std::size_t j = 0; j < a.size(); ++j) a[j] -= factor * b[j];
}

void normalise(std::span<double> a) {
  const double norm = std::sqrt(dot(a, a));
  for (double& v : a) v = norm > 0 ? v / norm : 0;
}

}  // namespace

// Gram and Schmidt, every projection twice: once leaves an error that grows with the condition of the rows,
// "twice is enough" (Kahan, in Parlett, The symmetric eigenvalue problem, 1980).
Matrix<double> orthonormal_rows(Stream stream, int first, int rows, int width) {
  expect(0 <= rows && rows <= width, "as many orthonormal rows as there are dimensions");
  Matrix<double> q(rows, width);
  for (int i = 0; i < rows; ++i) {
    const std::span<double> row = q.row(i);
    fill_normal<double>(stream, std::uint32_t(first + i), row);
    for (int j = 0; j < 2 * i; ++j) subtract(row, dot(row, q.row(j % i)), q.row(j % i));
    normalise(row);
  }
  return q;
}

}  // namespace gradflow::nn
