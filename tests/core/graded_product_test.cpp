#include "gradflow/core/graded_product.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <boost/multiprecision/cpp_bin_float.hpp>
#include <gtest/gtest.h>

#include "gradflow/core/blas.hpp"
#include "gradflow/core/haar.hpp"
#include "gradflow/core/orthonormalise.hpp"

namespace gradflow {
namespace {

/// Digits enough for every singular value of a product that spans a thousand decades.
using Exact = boost::multiprecision::number<boost::multiprecision::cpp_bin_float<1100>>;
using ExactMatrix = std::vector<std::vector<Exact>>;

constexpr double epsilon = std::numeric_limits<double>::epsilon();

Matrix<double> product(const Matrix<double>& a, const Matrix<double>& b) {
  Matrix<double> c(a.rows(), b.cols());
  multiply(a, 0, a.rows(), b, c);
  return c;
}

Matrix<double> normal(int n, std::uint32_t layer) {
  Matrix<double> a(n, n);
  for (int i = 0; i < n; ++i) fill_normal<double>({7, Purpose::weight, layer}, std::uint32_t(i), a.row(i));
  return a;
}

/// Normal, its rows 10^-decades, 10^-2decades, ...: the last ones far below rounding of the first.
Matrix<double> graded(int n, std::uint32_t layer, double decades) {
  Matrix<double> a = normal(n, layer);
  for (int i = 0; i < n; ++i) {
    for (double& v : a.row(i)) v *= std::pow(10, -decades * i);
  }
  return a;
}

template <class... Factor>
std::vector<Matrix<double>> factors_of(Factor... factor) {
  std::vector<Matrix<double>> factors;
  (factors.push_back(std::move(factor)), ...);
  return factors;
}

/// The factors one behind the other, orthonormal rows in front of each.
GradedProduct multiplied(const std::vector<Matrix<double>>& factors) {
  const int n = factors.front().rows();
  GradedProduct all(n);
  Matrix<double> q = haar_orthogonal({3, Purpose::direction, 0}, n);
  for (const Matrix<double>& factor : factors) {
    Matrix<double> rows = product(q, factor);
    const Matrix<double> lower = orthonormalise_rows(rows, n);
    const std::vector<int> order = all.multiply(lower, std::vector<std::int64_t>(std::size_t(n), 0));
    q = Matrix<double>(n, n);
    for (int i = 0; i < n; ++i) std::ranges::copy(rows.row(order[std::size_t(i)]), q.row(i).begin());
  }
  return all;
}

/// One-sided Jacobi on the rows, with digits beyond every value.
std::vector<double> exact_log10_singular_values(const std::vector<Matrix<double>>& factors) {
  const auto n = std::size_t(factors.front().rows());
  ExactMatrix a(n, std::vector<Exact>(n, 0));
  for (std::size_t i = 0; i < n; ++i) a[i][i] = 1;
  for (const Matrix<double>& factor : factors) {
    ExactMatrix next(n, std::vector<Exact>(n, 0));
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t k = 0; k < n; ++k) {
        for (std::size_t j = 0; j < n; ++j) next[i][j] += a[i][k] * factor(int(k), int(j));
      }
    }
    a = std::move(next);
  }
  const auto dot = [n](const std::vector<Exact>& x, const std::vector<Exact>& y) {
    Exact sum = 0;
    for (std::size_t j = 0; j < n; ++j) sum += x[j] * y[j];
    return sum;
  };
  for (int sweep = 0; sweep < 20; ++sweep) {
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        const Exact g = dot(a[p], a[q]);
        if (g == 0) continue;
        const Exact zeta = (dot(a[q], a[q]) - dot(a[p], a[p])) / (2 * g);
        const Exact t = (zeta < 0 ? -1 : 1) / (abs(zeta) + sqrt(1 + zeta * zeta));
        const Exact c = 1 / sqrt(1 + t * t);
        for (std::size_t j = 0; j < n; ++j) {
          const Exact x = a[p][j];
          a[p][j] = c * (x - t * a[q][j]);
          a[q][j] = c * (t * x + a[q][j]);
        }
      }
    }
  }
  std::vector<double> values;
  for (const std::vector<Exact>& row : a) values.push_back(double(log10(dot(row, row)) / 2));
  std::ranges::sort(values, std::greater{});
  return values;
}

/// Rounding of n-term sums in every factor, times the condition of the factors, which the seeds here keep
/// below 1e3 but for what grades their rows; in log10.
double tolerance(int n, int factors, double grading = 1) {
  return 1e3 * grading * n * factors * epsilon / std::log(10.0);
}

void expect_singular_values(const std::vector<Matrix<double>>& factors, double grading = 1) {
  const std::vector<Scaled> values = multiplied(factors).singular_values();
  const std::vector<double> expected = exact_log10_singular_values(factors);
  const double rounding = tolerance(int(values.size()), int(factors.size()), grading);
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(values[i].log10(), expected[i], rounding + std::abs(expected[i]) * epsilon) << i;
  }
}

TEST(GradedProduct, HasTheSingularValuesOfOneFactor) { expect_singular_values(factors_of(normal(6, 1))); }

TEST(GradedProduct, HasTheSingularValuesOfManyFactors) {
  std::vector<Matrix<double>> factors;
  for (std::uint32_t l = 0; l < 30; ++l) factors.push_back(normal(6, l));
  expect_singular_values(factors);
}

TEST(GradedProduct, HasSingularValuesThatSpanFourHundredDecades) {
  std::vector<Matrix<double>> factors;
  for (std::uint32_t l = 0; l < 130; ++l) factors.push_back(graded(5, l, 1));
  const std::vector<double> expected = exact_log10_singular_values(factors);
  ASSERT_LT(expected.back() - expected.front(), -390);
  expect_singular_values(factors, 1e4);
}

TEST(GradedProduct, OfOrthogonalFactorsHasOneSingularValue) {
  std::vector<Matrix<double>> factors;
  for (std::uint32_t l = 0; l < 50; ++l) {
    factors.push_back(haar_orthogonal({9, Purpose::weight, l}, 20));
    for (int i = 0; i < 20; ++i) {
      for (double& v : factors.back().row(i)) v *= 3;
    }
  }
  const GradedProduct product = multiplied(factors);
  for (const Scaled value : product.singular_values()) {
    EXPECT_NEAR(value.log10(), 50 * std::log10(3.0), tolerance(20, 50));
  }
  EXPECT_NEAR(product.frobenius_squared().log10() / 2, 50 * std::log10(3.0) + std::log10(20.0) / 2,
              tolerance(20, 50));
}

TEST(GradedProduct, IsTheSameBehindAJourneyAsNumbers) {
  const GradedProduct product = multiplied(factors_of(graded(5, 1, 30), normal(5, 2)));
  const std::vector<double> numbers = product.packed();

  EXPECT_EQ(numbers.size(), GradedProduct::packed_size(5));
  EXPECT_EQ(GradedProduct::unpacked(5, numbers).packed(), numbers);
}

TEST(GradedProduct, HasExactZerosForLostDirections) {
  GradedProduct product(3);
  Matrix<double> lower(3, 1);
  for (int i = 0; i < 3; ++i) lower(i, 0) = i + 1;
  product.multiply(lower, std::vector<std::int64_t>{-4000, 0, 0});

  const std::vector<Scaled> values = product.singular_values();

  EXPECT_NEAR(values[0].value(), std::sqrt(4.0 + 9.0), 10 * epsilon);
  EXPECT_TRUE(values[1].is_zero() && values[2].is_zero());
}

TEST(OrthonormaliseRows, SplitsAMatrixIntoALowerTriangleAndOrthonormalRows) {
  Matrix<double> wide(3, 7);
  for (int i = 0; i < 3; ++i) fill_normal<double>({1, Purpose::data, 0}, std::uint32_t(i), wide.row(i));
  Matrix<double> q = wide.copy();

  const Matrix<double> lower = orthonormalise_rows(q, 3);

  const Matrix<double> back = product(lower, q);
  for (int i = 0; i < 3; ++i) {
    EXPECT_GT(lower(i, i), 0);
    for (int j = i + 1; j < 3; ++j) EXPECT_EQ(lower(i, j), 0);
    for (int j = 0; j < 7; ++j) EXPECT_NEAR(back(i, j), wide(i, j), 50 * epsilon);
  }
}

TEST(OrthonormaliseRows, ScalesARowOfTheTriangleWithTheRow) {
  Matrix<double> a = normal(4, 3);
  Matrix<double> scaled = a.copy();
  for (double& v : scaled.row(2)) v *= 0x1p-700;

  const Matrix<double> lower = orthonormalise_rows(a, 4);
  const Matrix<double> scaled_lower = orthonormalise_rows(scaled, 4);

  for (int j = 0; j < 3; ++j) EXPECT_NEAR(scaled_lower(2, j) * 0x1p700, lower(2, j), 100 * epsilon) << j;
  for (int j = 0; j < 4; ++j) EXPECT_NEAR(scaled_lower(3, j), lower(3, j), 100 * epsilon) << j;
}

}  // namespace
}  // namespace gradflow
