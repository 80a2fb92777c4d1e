#include "gradflow/core/haar.hpp"

#include <cmath>
#include <limits>
#include <utility>

#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"

namespace gradflow {
namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();

Matrix<double> haar(int n, std::uint32_t layer) { return haar_orthogonal({5, Purpose::weight, layer}, n); }

double scalar_product(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

double trace(const Matrix<double>& a) {
  double sum = 0;
  for (int i = 0; i < a.rows(); ++i) sum += a(i, i);
  return sum;
}

/// By elimination with row exchanges.
double determinant(Matrix<double> a) {
  double product = 1;
  for (int k = 0; k < a.rows(); ++k) {
    int pivot = k;
    for (int i = k; i < a.rows(); ++i) pivot = std::abs(a(i, k)) > std::abs(a(pivot, k)) ? i : pivot;
    if (pivot != k) {
      for (int j = 0; j < a.cols(); ++j) std::swap(a(k, j), a(pivot, j));
      product = -product;
    }
    product *= a(k, k);
    for (int i = k + 1; i < a.rows(); ++i) {
      const double factor = a(i, k) / a(k, k);
      for (int j = k; j < a.cols(); ++j) a(i, j) -= factor * a(k, j);
    }
  }
  return product;
}

class EverySize : public testing::TestWithParam<int> {};

TEST_P(EverySize, HasOrthonormalRows) {
  const int n = GetParam();

  const Matrix<double> q = haar(n, 1);

  for (int i = 0; i < n; ++i) {
    for (int j = 0; j <= i; ++j) {  // Householder QR: a small multiple of n roundings
      ASSERT_NEAR(scalar_product(q.row(i), q.row(j)), i == j, 4 * n * epsilon) << i << ' ' << j;
    }
  }
}

// Z = L Q with a positive diagonal has one solution only: this is the sign fix, entry by entry.
TEST_P(EverySize, OrthonormalisesTheRowsOfANormalMatrix) {
  const int n = GetParam();
  const Matrix<double> q = haar(n, 1);
  Matrix<double> z(n, n);
  for (int i = 0; i < n; ++i) fill_normal({5, Purpose::weight, 1}, std::uint32_t(i), z.row(i));

  for (int i = 0; i < n; ++i) {
    EXPECT_GT(scalar_product(z.row(i), q.row(i)), 0) << i;
    for (int j = i + 1; j < n; ++j) {  // the rows of Z have norm sqrt(n), up to a few standard deviations
      ASSERT_NEAR(scalar_product(z.row(i), q.row(j)), 0, 8 * n * std::sqrt(n) * epsilon);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, EverySize, testing::Values(1, 2, 3, 16, 50, 200));

TEST(Haar, IsAFunctionOfItsStream) {
  const Matrix<double> first = haar(50, 1), again = haar(50, 1), other = haar(50, 2);

  EXPECT_TRUE(std::equal(first.data(), first.data() + first.size(), again.data()));
  EXPECT_FALSE(std::equal(first.data(), first.data() + first.size(), other.data()));
}

TEST(Haar, HasAtLeastOneRow) { EXPECT_THROW(haar(0, 1), BrokenPromise); }

// Moments over the Haar measure: E q = 0, E q^2 = 1/n, E q^4 = 3/(n(n+2)) for every entry; the powers of the
// trace agree with N(0, 1) up to the n-th or so (Diaconis and Shahshahani 1994): E tr = 0, E tr^2 = 1, E tr^4
// = 3. The Q of LAPACK itself fails here: its diagonal is mostly negative.
TEST(Haar, HasTheMomentsOfTheHaarMeasure) {
  constexpr int n = 8, draws = 20000;
  double q = 0, q2 = 0, q4 = 0, t = 0, t2 = 0, t4 = 0;

  for (int draw = 0; draw < draws; ++draw) {
    const Matrix<double> matrix = haar(n, std::uint32_t(draw));
    const double entry = matrix(n - 1, n - 1), tr = trace(matrix);
    q += entry, q2 += entry * entry, q4 += std::pow(entry, 4);
    t += tr, t2 += tr * tr, t4 += std::pow(tr, 4);
  }

  const double m2 = 1.0 / n, m4 = 3.0 / (n * (n + 2)), m8 = 105.0 / (n * (n + 2) * (n + 4) * (n + 6));
  EXPECT_NEAR(q / draws, 0, 4 * std::sqrt(m2 / draws));
  EXPECT_NEAR(q2 / draws, m2, 4 * std::sqrt((m4 - m2 * m2) / draws));
  EXPECT_NEAR(q4 / draws, m4, 4 * std::sqrt((m8 - m4 * m4) / draws));
  EXPECT_NEAR(t / draws, 0, 4 * std::sqrt(1.0 / draws));
  EXPECT_NEAR(t2 / draws, 1, 4 * std::sqrt(2.0 / draws));
  EXPECT_NEAR(t4 / draws, 3, 4 * std::sqrt(96.0 / draws));
}

TEST(Haar, HasDeterminantsOfBothSignsEquallyOften) {
  constexpr int draws = 4000;
  int positive = 0;

  for (int draw = 0; draw < draws; ++draw) {
    const double d = determinant(haar(4, std::uint32_t(draw)));
    ASSERT_NEAR(std::abs(d), 1, 1e-13);
    positive += d > 0;
  }

  EXPECT_NEAR(double(positive) / draws, 0.5, 4 * std::sqrt(0.25 / draws));
}

}  // namespace
}  // namespace gradflow
