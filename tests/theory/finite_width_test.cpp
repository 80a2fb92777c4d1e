#include "gradflow/theory/finite_width.hpp"

#include <cmath>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::theory {
namespace {

// What is printed with six digits is tested to half of the last.
constexpr double six_digits = 5e-7;

TEST(ReluIncrement, AtHundredUnitsIsThePublishedOne) {
  const Increment s = relu_increment(100, 2.0 / 100);

  EXPECT_NEAR(s.mean, -0.025421, six_digits);
  EXPECT_NEAR(s.variance, 0.051940, six_digits);
}

TEST(ReluIncrement, OfOneUnitIsThatOfTheLivingGate) {
  const Increment living = relu_increment(1, 0.5);
  const Increment linear = linear_increment(1, 0.5);

  EXPECT_NEAR(living.mean, linear.mean, 1e-14);
  EXPECT_NEAR(living.variance, linear.variance, 1e-14);
}

TEST(ReluIncrement, OfTwoUnitsIsWeightedByTwoToOne) {
  // Given M >= 1 of two fair coins: one head with probability 2/3, two with 1/3.
  const Increment one = linear_increment(1, 1);
  const Increment two = linear_increment(2, 1);

  const Increment s = relu_increment(2, 1);

  const double mean = (2 * one.mean + two.mean) / 3;
  const double spread = 2.0 / 9 * (one.mean - two.mean) * (one.mean - two.mean);
  EXPECT_NEAR(s.mean, mean, 1e-14);
  EXPECT_NEAR(s.variance, (2 * one.variance + two.variance) / 3 + spread, 1e-14);
}

TEST(ReluIncrement, OfWideLayersHasTheKnownExpansion) {
  const int n = 100000;

  const Increment s = relu_increment(n, 2.0 / n);

  EXPECT_NEAR(s.mean * n, -2.5, 1e-3);  // the next terms are of order 1/n
  EXPECT_NEAR(s.variance * n, 5, 1e-3);
}

TEST(LinearIncrement, OfTwoUnitsIsThatOfAnExponential) {
  // chi^2_2 / 2 ~ Exp(1), whose logarithm has mean -gamma and variance pi^2 / 6.
  const Increment s = linear_increment(2, 0.5);

  EXPECT_NEAR(s.mean, -std::numbers::egamma, 1e-14);
  EXPECT_NEAR(s.variance, std::numbers::pi * std::numbers::pi / 6, 1e-14);
}

TEST(LinearIncrement, OfWideLayersHasVarianceTwoOverWidth) {
  EXPECT_NEAR(linear_increment(100000, 1e-5).variance * 1e5, 2, 1e-4);
}

class LeakySlope : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Units, LeakySlope, testing::Values(1, 2, 7, 100, 5000));

TEST_P(LeakySlope, OfOneIsTheLinearLaw) {
  const Increment linear = linear_increment(GetParam(), 0.3);

  const Increment leaky = leaky_relu_increment(GetParam(), 0.3, 1);

  EXPECT_NEAR(leaky.mean, linear.mean, 1e-13);
  EXPECT_NEAR(leaky.variance, linear.variance, 1e-13);
}

TEST_P(LeakySlope, OfMinusOneIsTheLinearLawToo) {
  EXPECT_NEAR(leaky_relu_increment(GetParam(), 0.3, -1).mean, linear_increment(GetParam(), 0.3).mean, 1e-13);
}

TEST(LeakyReluIncrement, TendsToTheReluLawWhereNoLayerDies) {
  // All gates of 200 are closed with probability 2^-200.
  const Increment leaky = leaky_relu_increment(200, 0.01, 1e-9);
  const Increment relu = relu_increment(200, 0.01);

  EXPECT_NEAR(leaky.mean, relu.mean, 1e-12);
  EXPECT_NEAR(leaky.variance, relu.variance, 1e-12);
}

TEST(LeakyReluIncrement, OfOneUnitIsAMixtureOfTwoScales) {
  // ln z^2 plus 0 or ln a^2 with probability 1/2 each.
  const double jump = std::log(0.01);
  const Increment linear = linear_increment(1, 1);

  const Increment leaky = leaky_relu_increment(1, 1, 0.1);

  EXPECT_NEAR(leaky.mean, linear.mean + jump / 2, 1e-12);
  EXPECT_NEAR(leaky.variance, linear.variance + jump * jump / 4, 1e-11);
}

TEST(LeakyReluIncrement, RefusesASlopeOfZero) { EXPECT_THROW(leaky_relu_increment(10, 1, 0), BrokenPromise); }

TEST(HomogeneousIncrement, IsTheLawOfItsSlopes) {
  EXPECT_EQ(homogeneous_increment(100, 0.02, 1, 1).mean, linear_increment(100, 0.02).mean);
  EXPECT_EQ(homogeneous_increment(100, 0.02, 1, 0).variance, relu_increment(100, 0.02).variance);
  EXPECT_EQ(homogeneous_increment(100, 0.02, 1, 0.1).mean, leaky_relu_increment(100, 0.02, 0.1).mean);
  EXPECT_TRUE(std::isnan(homogeneous_increment(100, 0.02, 0, 0).mean));
}

TEST(HomogeneousIncrement, TakesTheSteeperSlopeFirst) {
  // Slopes (1, 2) are (2, 1) reflected, and twice (1, 1/2).
  EXPECT_NEAR(homogeneous_increment(7, 0.02, 1, 2).mean, leaky_relu_increment(7, 0.08, 0.5).mean, 1e-13);
  EXPECT_NEAR(homogeneous_increment(7, 0.02, 1, -2).variance, leaky_relu_increment(7, 1, 0.5).variance,
              1e-12);
}

TEST(UnbiasedGain, AtHundredUnitsIsThePublishedOne) {
  EXPECT_NEAR(unbiased_linear_gain(100), 1.005029, six_digits);
  EXPECT_NEAR(unbiased_relu_gain(100), 1.432304, six_digits);
}

TEST(UnbiasedGain, RemovesTheDrift) {
  for (int n : {3, 16, 100, 1000}) {
    const double linear = unbiased_linear_gain(n);
    const double relu = unbiased_relu_gain(n);
    const double leaky = unbiased_leaky_relu_gain(n, 0.1);

    EXPECT_NEAR(linear_increment(n, linear * linear / n).mean, 0, 1e-14);
    EXPECT_NEAR(relu_increment(n, relu * relu / n).mean, 0, 1e-14);
    EXPECT_NEAR(leaky_relu_increment(n, leaky * leaky / n, 0.1).mean, 0, 1e-13);
  }
}

TEST(UnbiasedGain, IsCloseToThePublishedFits) {  // Sussillo & Abbott 2014 fitted them to simulations
  EXPECT_NEAR(unbiased_linear_gain(100), std::exp(1.0 / 200), 5e-5);
  EXPECT_NEAR(unbiased_relu_gain(100), std::numbers::sqrt2 * std::exp(1.2 / 97.6), 1e-3);
}

TEST(Kappa, IsTwoForLinearAndFiveForRelu) {
  EXPECT_DOUBLE_EQ(kappa(1), 2);
  EXPECT_DOUBLE_EQ(kappa(0), 5);
}

TEST(SquaredNormSecondMoment, MultipliesOverLayers) {
  const std::vector<int> widths{10, 20};

  EXPECT_DOUBLE_EQ(squared_norm_second_moment(0, widths), 1.5 * 1.25);
  EXPECT_DOUBLE_EQ(orthogonal_squared_norm_second_moment(0, widths), 15.0 / 12 * 25.0 / 22);
  EXPECT_DOUBLE_EQ(orthogonal_squared_norm_second_moment(1, widths), 1);  // rotations keep every norm
}

}  // namespace
}  // namespace gradflow::theory
