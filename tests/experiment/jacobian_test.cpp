#include "gradflow/theory/jacobian.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "estimate.hpp"
#include "measured.hpp"

/// Laws of the singular values of dz_L/dz_1, which has L - 1 factors: SCIENCE 1 and 3.
namespace gradflow::experiment {
namespace {

std::vector<double> singular_values(const MeasuredPoint& point, int count) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(point.column("jacobian_log10_singular_value", i).front());
  return values;
}

std::vector<double> over_seeds(const std::vector<MeasuredPoint>& points, const char* name, int index = 0) {
  std::vector<double> values;
  for (const MeasuredPoint& point : points) values.push_back(point.column(name, index).front());
  return values;
}

std::string gaussian_sweep(const char* activation, double sigma_w, int width, int depth, int seeds,
                           const char* directions = "\"all\"") {
  return fmt::format(R"(
    network = {{ activation = "{}", depth = {}, width = {} }}
    init = {{ sigma_w = {:.17g} }}
    data = {{ batch = 1 }}
    statistics = {{ preset = "lean" }}
    run = {{ precision = "float64" }}
    jacobian = {{ directions = {} }}
    sweep = {{ seed = {{ range = [0, {}] }} }}
  )",
                     activation, depth, width, sigma_w, directions, seeds);
}

void expect_one_singular_value(int width, int depth) {
  const MeasuredPoint point = measure_one(fmt::format(R"(
    network = {{ activation = "linear", depth = {}, width = {} }}
    init = {{ scheme = "orthogonal", sigma_w = 0.1 }}
    data = {{ batch = 1 }}
    run = {{ precision = "float64" }}
    jacobian = {{ directions = "all" }}
  )",
                                                      depth, width));
  // Rounding of the weights and of sums of N terms in each of the factors, all in one direction.
  const double rounding = (depth - 1) * std::sqrt(double(width)) * std::numeric_limits<double>::epsilon();
  for (const double value : singular_values(point, width)) EXPECT_NEAR(value, -(depth - 1), rounding + 1e-12);
  for (int i = 0; i < width; ++i) {
    EXPECT_NEAR(point.column("lyapunov_exponent", i).front(), std::log(0.1), rounding + 1e-12);
    EXPECT_NEAR(point.column("theory_lyapunov_exponent", i).front(), std::log(0.1), 1e-15);
  }
  EXPECT_NEAR(point.column("jacobian_isometry_variance").front(), 0, 10 * rounding);
}

TEST(JacobianLaws, OrthogonalLinearHasOneSingularValueAtAnyDepth) { expect_one_singular_value(20, 1001); }

TEST(JacobianLaws, OrthogonalLinearHasOneSingularValueInTheWidestLayers) {
  expect_one_singular_value(1024, 4);
}

/// ln R_ii are independent over factors and directions: their means have an exact variance.
void expect_lyapunov_law(const std::vector<MeasuredPoint>& points, int width, double sigma_w, int factors,
                         int directions) {
  for (int i = 0; i < directions; ++i) {
    const theory::Increment law = theory::lyapunov_exponent(width, sigma_w * sigma_w / width, i + 1);
    const double error = std::sqrt(law.variance / (factors * double(points.size())));
    const std::vector<double> measured = over_seeds(points, "lyapunov_exponent", i);
    EXPECT_NEAR(mean_of(measured).value, law.mean, 4 * error) << i;
    EXPECT_NEAR(points.front().column("theory_lyapunov_exponent", i).front(), law.mean, 1e-14);
  }
}

TEST(JacobianLaws, LinearGaussianHasTheLyapunovSpectrumAtEveryFiniteDepth) {
  for (const int factors : {1, 10, 200}) {
    SCOPED_TRACE(factors);
    expect_lyapunov_law(measure(gaussian_sweep("linear", 1.7, 16, factors + 1, 20)), 16, 1.7, factors, 16);
  }
}

TEST(JacobianLaws, AFewDirectionsHaveTheLeadingExponents) {
  expect_lyapunov_law(measure(gaussian_sweep("linear", 0.4, 100, 101, 10, "3")), 100, 0.4, 100, 3);
}

TEST(JacobianLaws, AFewDirectionsEstimateTheFrobeniusNorm) {
  const auto estimate = [](const std::vector<MeasuredPoint>& points) {
    std::vector<double> squares = over_seeds(points, "jacobian_log10_frobenius_norm");
    for (double& v : squares) v = std::pow(10, 2 * v) / 30;  // the mean is N sigma_w^(2 factors)
    return mean_of(squares);
  };
  const std::vector<MeasuredPoint> few = measure(gaussian_sweep("linear", 1, 30, 3, 300, "4"));
  expect_law(estimate(few), 1);
  expect_law(estimate(measure(gaussian_sweep("linear", 1, 30, 3, 300))), 1);
  EXPECT_TRUE(std::isnan(few.front().column("jacobian_log10_singular_value", 0).front()));
  EXPECT_TRUE(std::isnan(few.front().column("jacobian_isometry_variance").front()));
}

struct Traces {
  std::vector<double> of_square;  ///< tr X^2
  std::vector<double> squared;    ///< (tr X)^2
};

/// X = J J' of every seed.
Traces traces_of(const std::vector<MeasuredPoint>& points, int width) {
  Traces traces;
  for (const MeasuredPoint& point : points) {
    double second = 0, fourth = 0;
    for (const double value : singular_values(point, width)) {
      second += std::pow(10, 2 * value);
      fourth += std::pow(10, 4 * value);
    }
    traces.of_square.push_back(fourth);
    traces.squared.push_back(second * second);
  }
  return traces;
}

// Raw moments are heavy-tailed: 5 factors / N stays far below 1.
TEST(JacobianLaws, SecondMomentsFollowTheirRecursions) {
  constexpr int width = 40, factors = 3, seeds = 400;
  const Traces linear = traces_of(measure(gaussian_sweep("linear", 1.1, width, factors + 1, seeds)), width);
  const theory::JacobianMoments law = theory::linear_jacobian_moments(width, 1.1, factors);
  expect_law(mean_of(linear.of_square), law.trace_of_square);
  expect_law(mean_of(linear.squared), law.square_of_trace);

  const Traces relu =
      traces_of(measure(gaussian_sweep("relu", std::sqrt(2.0), width, factors + 1, seeds)), width);
  const theory::JacobianMoments relu_law = theory::relu_jacobian_moments(width, std::sqrt(2.0), factors);
  expect_law(mean_of(relu.of_square), relu_law.trace_of_square);
  expect_law(mean_of(relu.squared), relu_law.square_of_trace);
}

TEST(JacobianLaws, TheorySaysTheIsometryVariance) {
  const MeasuredPoint linear = measure(gaussian_sweep("linear", 1.3, 10, 5, 1)).front();
  const theory::JacobianMoments moments = theory::linear_jacobian_moments(10, 1.3, 4);
  EXPECT_NEAR(linear.column("theory_jacobian_isometry_variance").front(),
              10 * moments.trace_of_square / moments.square_of_trace - 1, 1e-12);
  EXPECT_NEAR(linear.column("theory_jacobian_log10_frobenius_norm").front(),
              4 * std::log10(1.3) + std::log10(10.0) / 2, 1e-12);

  const MeasuredPoint tanh = measure(gaussian_sweep("tanh", 1.3, 10, 5, 1)).front();
  double variance = 0;
  const std::vector<double> log10_q = tanh.column("theory_preact_log10_q");
  for (int l = 1; l < 5; ++l) {
    const double q = std::pow(10, log10_q[std::size_t(l - 1)]);
    variance += theory::isometry_variance(nn::Activation::named("tanh"), q, 1, false);
  }
  EXPECT_NEAR(tanh.column("theory_jacobian_isometry_variance").front(), variance, 1e-12);
  EXPECT_TRUE(std::isnan(tanh.column("theory_lyapunov_exponent").front()));
}

struct Spread {
  const char* activation;
  const char* scheme;
  double sigma_w, sigma_b;
};

// SCIENCE 3, each factor told by what it knows of the weights and of phi': relu 1 and 2 per layer, tanh near
// and far from isometry. At width N every factor of 1 + variance is open by 5/N, as every law of wide layers
// is.
TEST(JacobianLaws, SquaredSingularValuesSpreadAsTheIsometryVarianceSays) {
  constexpr int width = 256, factors = 4, seeds = 8;
  for (const Spread& of :
       {Spread{"relu", "orthogonal", std::sqrt(2.0), 0}, Spread{"relu", "gaussian", std::sqrt(2.0), 0},
        Spread{"tanh", "orthogonal", 1.0668, 0.02}, Spread{"tanh", "orthogonal", 1.327, 0.2236},
        Spread{"tanh", "gaussian", 1.327, 0.2236}}) {
    SCOPED_TRACE(fmt::format("{} {} {}", of.activation, of.scheme, of.sigma_w));
    const std::vector<MeasuredPoint> points =
        measure(fmt::format(R"(
      network = {{ activation = "{}", depth = {}, width = {} }}
      init = {{ scheme = "{}", sigma_w = {:.17g}, sigma_b = {} }}
      data = {{ batch = 1 }}
      statistics = {{ preset = "lean" }}
      jacobian = {{ directions = "all" }}
      sweep = {{ seed = {{ range = [0, {}] }} }}
    )",
                            of.activation, factors + 1, width, of.scheme, of.sigma_w, of.sigma_b, seeds));
    const double law = points.front().column("theory_jacobian_isometry_variance").front();
    expect_law(mean_of(over_seeds(points, "jacobian_isometry_variance")), law,
               factors * finite_width_error(width) * (1 + law));
  }
}

TEST(JacobianLaws, SingularValuesOfDeadDirectionsAreExactZeros) {
  for (const MeasuredPoint& point : measure(gaussian_sweep("relu", std::sqrt(2.0), 24, 31, 4))) {
    const std::vector<double> values = singular_values(point, 24);
    EXPECT_TRUE(std::ranges::is_sorted(values, std::greater{}));
    EXPECT_EQ(values.back(), -std::numeric_limits<double>::infinity());
    for (int i = 0; i < 24; ++i) {
      EXPECT_EQ(std::isinf(values[std::size_t(i)]), std::isinf(point.column("lyapunov_exponent", i).front()));
    }
  }
}

TEST(JacobianLaws, HoldFarBeyondTheRangeOfDoubles) {
  constexpr int width = 8, depth = 401;
  const MeasuredPoint point = measure_one(fmt::format(R"(
    network = {{ activation = "linear", depth = {}, width = {} }}
    init = {{ sigma_w = 1e-30 }}
    data = {{ batch = 1 }}
    jacobian = {{ directions = "all" }}
  )",
                                                      depth, width));
  const std::vector<double> values = singular_values(point, width);
  EXPECT_LT(values.front(), -11900);
  EXPECT_LT(values.back() - values.front(), -200);
  double of_exponents = 0;
  for (int i = 0; i < width; ++i) of_exponents += point.column("lyapunov_exponent", i).front() * (depth - 1);
  const double of_values = std::accumulate(values.begin(), values.end(), 0.0) * std::log(10.0);
  EXPECT_NEAR(of_values, of_exponents, 1e-9 * std::abs(of_exponents));
}

// float32 rounds every element of every factor, a relative change of each by its half ulp.
TEST(JacobianLaws, HaveInFloat32WhatTheyHaveInFloat64) {
  const std::vector<MeasuredPoint> points = measure(R"(
    network = { activation = "tanh", depth = 41, width = 32 }
    init = { scheme = "orthogonal", sigma_w = 1.05 }
    data = { batch = 1 }
    jacobian = { directions = "all" }
    sweep = { run.precision = ["float32", "float64"] }
  )");
  const std::vector<double> narrow = singular_values(points[0], 32);
  const std::vector<double> wide = singular_values(points[1], 32);
  const double condition = std::pow(10, wide.front() - wide.back());
  const double rounding = 40 * std::sqrt(32.0) * std::numeric_limits<float>::epsilon();
  ASSERT_LT(condition * rounding, 1);
  for (std::size_t i = 0; i < wide.size(); ++i) EXPECT_NEAR(narrow[i], wide[i], condition * rounding) << i;
}

}  // namespace
}  // namespace gradflow::experiment
