#include "gradflow/theory/jacobian.hpp"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "theory/simulation.hpp"

namespace gradflow::theory {
namespace {

nn::Activation named(std::string_view name) { return nn::Activation::named(name); }

/// Columns of W J for the columns of J.
using Columns = std::vector<Vector>;

Columns identity(int n) {
  Columns columns(std::size_t(n), Vector(std::size_t(n), 0.0));
  for (std::size_t i = 0; i < columns.size(); ++i) columns[i][i] = 1;
  return columns;
}

void multiply(const Matrix& w, Columns& j) {
  for (Vector& column : j) column = product(w, column);
}

/// Gram-Schmidt in place, twice is enough at these sizes. @return ln |R_ii|
Vector orthonormalise(Columns& columns) {
  Vector logarithms;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k)
      columns[i] = sum_of(columns[i], columns[k], -dot(columns[k], columns[i]));
    const double length = std::sqrt(square(columns[i]));
    logarithms.push_back(std::log(length));
    for (double& value : columns[i]) value /= length;
  }
  return logarithms;
}

TEST(LyapunovExponents, AreThoseOfSuccessiveQrSteps) {
  constexpr int n = 6;
  const double sigma_w = 1.3;
  Random random(1);
  std::vector<Vector> values(n);
  Columns q = identity(n);
  for (int l = 0; l < 20000; ++l) {
    multiply(random.matrix(n, sigma_w), q);
    const Vector logarithms = orthonormalise(q);
    for (std::size_t i = 0; i < n; ++i) values[i].push_back(logarithms[i]);
  }

  for (int i = 1; i <= n; ++i) {
    const Vector& one = values[std::size_t(i - 1)];
    const Estimate measured = estimate(one);
    const Increment law = lyapunov_exponent(n, sigma_w * sigma_w / n, i);
    EXPECT_NEAR(measured.mean, law.mean, 4 * measured.error) << i;
    // The variance of a variance with kurtosis up to 9 (ln chi^2_1 has 7): sqrt(8 / samples).
    const double variance = measured.error * measured.error * double(one.size());
    EXPECT_NEAR(variance / law.variance, 1, 4 * std::sqrt(8.0 / double(one.size()))) << i;
  }
}

TEST(LyapunovExponents, OfTheLargestIsHalfTheIncrementOfANorm) {
  EXPECT_EQ(lyapunov_exponent(50, 0.02, 1).mean, linear_increment(50, 0.02).mean / 2);
  EXPECT_EQ(lyapunov_exponent(50, 0.02, 50).variance, linear_increment(1, 0.02).variance / 4);
  EXPECT_THROW(lyapunov_exponent(50, 0.02, 51), BrokenPromise);
}

/// tr X^2 and (tr X)^2 of one network of gates (D W)^factors.
std::pair<double, double> measured_moments(int n, double sigma_w, int factors, bool gated, Random& random) {
  Columns j = identity(n);
  for (int l = 0; l < factors; ++l) {
    multiply(random.matrix(n, sigma_w), j);
    for (std::size_t i = 0; gated && i < std::size_t(n); ++i) {
      if (random.normal() > 0) continue;
      for (Vector& column : j) column[i] = 0;
    }
  }
  double trace = 0, trace_of_square = 0;
  for (const Vector& a : j) {
    trace += square(a);
    for (const Vector& b : j) trace_of_square += dot(a, b) * dot(a, b);
  }
  return {trace_of_square, trace * trace};
}

void expect_moments(bool gated, double sigma_w, const JacobianMoments& law, int n, int factors) {
  Random random(2);
  Vector trace_of_square, square_of_trace;
  for (int network = 0; network < 20000; ++network) {
    const auto [t2, t1] = measured_moments(n, sigma_w, factors, gated, random);
    trace_of_square.push_back(t2);
    square_of_trace.push_back(t1);
  }
  const Estimate t2 = estimate(trace_of_square), t1 = estimate(square_of_trace);
  EXPECT_NEAR(t2.mean, law.trace_of_square, 4 * t2.error);
  EXPECT_NEAR(t1.mean, law.square_of_trace, 4 * t1.error);
  EXPECT_LT(t2.error, 0.05 * t2.mean);  // else the comparison would say nothing
}

TEST(JacobianMoments, OfLinearNetworksAreMeasured) {
  expect_moments(false, 1.1, linear_jacobian_moments(8, 1.1, 3), 8, 3);
}

TEST(JacobianMoments, OfReluNetworksAreMeasured) {
  expect_moments(true, 1.3, relu_jacobian_moments(10, 1.3, 3), 10, 3);
}

TEST(IsometryVariance, CountsLayersOfGaussianAndOrthogonalWeights) {
  EXPECT_NEAR(isometry_variance(named("relu"), 1, 7, true), 7, 1e-12);    // 1 per layer
  EXPECT_NEAR(isometry_variance(named("relu"), 1, 7, false), 14, 1e-12);  // and 1 from the weights
  EXPECT_NEAR(isometry_variance(named("linear"), 1, 7, true), 0, 1e-12);
  EXPECT_NEAR(isometry_variance(named("sin"), 0.3, 1, true),
              (3 + 4 * std::exp(-0.6) + std::exp(-2.4)) / 2 / std::pow(1 + std::exp(-0.6), 2) - 1, 1e-12);
}

TEST(IsometryVariance, OfTanhVanishesWithItsVariance) {
  const double small = isometry_variance(named("tanh"), 1e-3, 1, true);

  // tanh' = 1 - z^2: mu_2 / mu_1^2 - 1 = Var(2 z^2) = 8 q^2 for small q; the next term is of order q more,
  // with a factor of order 10.
  EXPECT_NEAR(small / 8e-6, 1, 0.03);
}

TEST(IsometryVariance, IsTheLimitOfTheExactMomentsOfWideLayers) {
  constexpr int n = 100000;
  const JacobianMoments t = relu_jacobian_moments(n, std::numbers::sqrt2, 5);

  // E tr X^2 / N over (E tr X / N)^2, minus 1.
  EXPECT_NEAR(t.trace_of_square / n - 1, isometry_variance(named("relu"), 1, 5, false), 1e-3);
}

}  // namespace
}  // namespace gradflow::theory
