#include "gradflow/theory/phase.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <gtest/gtest.h>

#include "gradflow/theory/maps.hpp"
#include "theory/brute_force.hpp"

namespace gradflow::theory {
namespace {

nn::Activation named(std::string_view name) { return nn::Activation::named(name); }

constexpr double infinity = std::numeric_limits<double>::infinity();

// What is printed with six digits is tested to half of the last.
constexpr double six_digits = 5e-7;

TEST(CriticalSigmaW, OfTanhIsThePublishedOne) {
  const CriticalPoint critical = critical_sigma_w(named("tanh"), std::sqrt(0.05));

  EXPECT_NEAR(critical.sigma_w * critical.sigma_w, 1.760955, six_digits);
  EXPECT_NEAR(critical.q, 0.570048, six_digits);
  EXPECT_EQ(critical.stability, Stability::attracting);
}

TEST(CriticalSigmaW, OfTanhWithoutBiasIsOneAtZeroVariance) {
  const CriticalPoint critical = critical_sigma_w(named("tanh"), 0);

  EXPECT_NEAR(critical.sigma_w, 1, 1e-12);
  EXPECT_EQ(critical.q, 0);
  EXPECT_EQ(critical.stability, Stability::attracting);
}

TEST(CriticalSigmaW, OfErfLiesOnTheClosedLine) {
  for (double q : {0.01, 0.3, 1.0, 5.0}) {
    const double sigma_w_squared = std::numbers::pi / 4 * std::sqrt(1 + 4 * q);
    const double sigma_b_squared = q - 0.5 * std::sqrt(1 + 4 * q) * std::asin(2 * q / (1 + 2 * q));

    const CriticalPoint critical = critical_sigma_w(named("erf"), std::sqrt(sigma_b_squared));

    // q follows from sigma_b^2 with a loss of q / (d sigma_b^2 / d ln q), 1e2 at the smallest q.
    EXPECT_NEAR(critical.q / q, 1, 1e-9);
    EXPECT_NEAR(critical.sigma_w * critical.sigma_w / sigma_w_squared, 1, 1e-9);
  }
}

TEST(CriticalSigmaW, OfReluIsSqrt2ForAnyBias) {
  EXPECT_NEAR(critical_sigma_w(named("relu"), 0).sigma_w, std::numbers::sqrt2, 1e-15);
  EXPECT_NEAR(critical_sigma_w(named("relu"), 0.5).sigma_w, std::numbers::sqrt2, 1e-15);
  EXPECT_EQ(critical_sigma_w(named("relu"), 0.5).stability, Stability::marginal);
  EXPECT_NEAR(critical_sigma_w(nn::Activation::named("leaky_relu", 0.5), 0).sigma_w, std::sqrt(2 / 1.25),
              1e-15);
}

TEST(CriticalSigmaW, OfSoftplusDoesNotExist) {
  for (double sigma_b : {0.0, 0.2, 1.0}) {
    const CriticalPoint critical = critical_sigma_w(named("softplus"), sigma_b);

    EXPECT_TRUE(std::isnan(critical.sigma_w));
    EXPECT_EQ(critical.stability, Stability::none);
  }
}

TEST(CriticalSigmaW, OfGeluIsRepellingAtSmallBias) {
  EXPECT_EQ(critical_sigma_w(named("gelu"), 0).stability, Stability::repelling);
  EXPECT_EQ(critical_sigma_w(named("gelu"), std::sqrt(0.05)).stability, Stability::repelling);
}

struct HalfStable {
  const char* activation;
  double sigma_w_squared;
  double sigma_b_squared;
};

class HalfStablePoint : public testing::TestWithParam<HalfStable> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, HalfStablePoint,
                         testing::Values(HalfStable{"gelu", 1.98305826, 0.17292239},
                                         HalfStable{"silu", 1.98800468, 0.55514317}),
                         [](const auto& test) { return std::string(test.param.activation); });

TEST_P(HalfStablePoint, HasBothSlopesEqualToOne) {
  const auto& [name, sigma_w_squared, sigma_b_squared] = GetParam();

  const CriticalPoint critical = critical_sigma_w(named(name), std::sqrt(sigma_b_squared));

  // Eight printed digits.
  EXPECT_NEAR(critical.sigma_w * critical.sigma_w, sigma_w_squared, 2e-8);
  EXPECT_NEAR(q_map_slope(named(name), critical.sigma_w, critical.q), 1, 1e-7);
  EXPECT_NEAR(chi1(named(name), critical.sigma_w, critical.q), 1, 1e-12);
}

TEST_P(HalfStablePoint, IsTheOnlyOneOfItsActivation) {
  const auto& [name, sigma_w_squared, sigma_b_squared] = GetParam();

  const auto points = half_stable_points(named(name));

  ASSERT_EQ(points.size(), 1u);
  EXPECT_NEAR(points[0].sigma_w * points[0].sigma_w, sigma_w_squared,
              6e-9);  // half of the last digit printed
  EXPECT_NEAR(points[0].sigma_b * points[0].sigma_b, sigma_b_squared, 6e-9);
  EXPECT_NEAR(chi1(named(name), points[0].sigma_w, points[0].q), 1, 1e-12);
  EXPECT_NEAR(q_map_slope(named(name), points[0].sigma_w, points[0].q), 1, 1e-12);
  EXPECT_NEAR(q_map(named(name), points[0].sigma_w, points[0].sigma_b, points[0].q) / points[0].q, 1, 1e-12);
}

TEST(HalfStablePoints, AreNoneWhereTheLengthMapIsConcaveOrStraight) {
  EXPECT_TRUE(half_stable_points(named("tanh")).empty());
  EXPECT_TRUE(half_stable_points(named("relu")).empty());
}

TEST(CriticalPoints, OfGeluAreSeveralAtSmallBias) {
  const std::vector<CriticalPoint> points = critical_points(named("gelu"), 0);

  ASSERT_FALSE(points.empty());
  EXPECT_NEAR(points[0].sigma_w, 2, 1e-12);  // phi'(0) = 1/2
  EXPECT_TRUE(std::ranges::is_sorted(points, {}, &CriticalPoint::q));
}

TEST(PhaseOf, ChangesAtOne) {
  EXPECT_EQ(phase_of(0.99), Phase::ordered);
  EXPECT_EQ(phase_of(1 + 1e-9), Phase::critical);
  EXPECT_EQ(phase_of(1.01), Phase::chaotic);
  EXPECT_EQ(phase_of(not_known), Phase::unknown);
  EXPECT_EQ(name(Phase::chaotic), "chaotic");
}

TEST(ChiParallel, IsTheSlopeOfTheLengthMapAtItsFixedPoint) {
  const Asymptotics all = asymptotics(named("tanh"), 1.5, 0.3);
  const double q = all.fixed_point.q;
  const double h = 1e-4;  // central difference: h^2 of a third derivative of order 1, and rounding / h

  const double difference = q_map(named("tanh"), 1.5, 0.3, q + h) - q_map(named("tanh"), 1.5, 0.3, q - h);

  EXPECT_NEAR(all.chi_parallel, difference / (2 * h), 1e-8);
  EXPECT_NEAR(all.depth_scale.q, -1 / std::log(all.chi_parallel), 1e-12);
}

class EveryActivation : public testing::TestWithParam<nn::Activation> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryActivation, testing::ValuesIn(whole_catalogue()),
                         [](const auto& test) { return std::string(test.param.name()); });

TEST_P(EveryActivation, IsCriticalWhereItSaysSo) {
  const double sigma_b = std::sqrt(0.05);
  const CriticalPoint critical = critical_sigma_w(GetParam(), sigma_b);
  ASSERT_EQ(critical.stability == Stability::none, GetParam().name() == "softplus");
  ASSERT_EQ(critical.stability == Stability::marginal, GetParam().positively_homogeneous());
  if (critical.stability == Stability::none) return;
  if (critical.stability == Stability::marginal) {  // critical at any q, and at none of them for ever
    EXPECT_NEAR(chi1(GetParam(), critical.sigma_w, 3), 1, 1e-15);
    EXPECT_TRUE(std::isnan(critical.q));
    return;
  }

  // The relative error of q is the quadrature's times q / (d sigma_b^2 / d ln q), at most 1e3 for this
  // catalogue.
  EXPECT_NEAR(q_map(GetParam(), critical.sigma_w, sigma_b, critical.q) / critical.q, 1, 1e-9);
  EXPECT_NEAR(chi1(GetParam(), critical.sigma_w, critical.q), 1, 1e-9);
  const bool attracts = q_map_slope(GetParam(), critical.sigma_w, critical.q) < 1;
  EXPECT_EQ(critical.stability, attracts ? Stability::attracting : Stability::repelling);
}

TEST_P(EveryActivation, HasAFixedPointThatIterationReaches) {
  const FixedPoint fixed_point = q_fixed_point(GetParam(), 0.9, 0.4);
  ASSERT_EQ(fixed_point.stability, Stability::attracting);

  double q = 1;
  for (int l = 0; l < 1000; ++l) q = q_map(GetParam(), 0.9, 0.4, q);

  EXPECT_NEAR(q / fixed_point.q, 1, 1e-10);
}

TEST(QFixedPoint, AtZeroAttractsTanhBelowTheCriticalPointAndRepelsItAbove) {
  const FixedPoint below = q_fixed_point(named("tanh"), 0.9, 0);
  const FixedPoint above = q_fixed_point(named("tanh"), 1.1, 0);

  EXPECT_EQ(below.q, 0);
  EXPECT_EQ(below.stability, Stability::attracting);
  EXPECT_GT(above.q, 0.1);
  EXPECT_EQ(above.stability, Stability::attracting);
}

TEST(QFixedPoint, OfAnExplodingReluIsAtInfinity) {
  for (double sigma_b : {0.0, 0.1}) {
    EXPECT_EQ(q_fixed_point(named("relu"), 2, sigma_b).q, infinity);
    EXPECT_EQ(q_fixed_point(named("relu"), 2, sigma_b).stability, Stability::none);
  }
  EXPECT_EQ(q_fixed_point(named("relu"), 2, 0, 0).q, 0);  // nothing in, nothing out
  EXPECT_EQ(q_fixed_point(named("relu"), 2, 0, 0).stability, Stability::repelling);
  EXPECT_EQ(q_fixed_point(named("relu"), std::numbers::sqrt2, 0).stability, Stability::marginal);
}

TEST(QFixedPoint, OfSeluIsReachedByANetworkThatBeginsOnIt) {
  const FixedPoint fixed_point = q_fixed_point(named("selu"), 1, 0, 1);  // Klambauer et al. (2017)

  EXPECT_NEAR(fixed_point.q, 1, 1e-10);
  EXPECT_EQ(fixed_point.stability, Stability::attracting);
}

TEST(QFixedPoint, IsFoundBeyondTheRangeOfTheActivationsFeatures) {
  const FixedPoint fixed_point = q_fixed_point(named("softsign"), 1e10, 0);

  // phi^2 is 1 - 2/|z| + ..., E 1/|z| of the order of 1e-10 ln 1e10.
  EXPECT_NEAR(fixed_point.q / 1e20, 1, 1e-8);
  EXPECT_EQ(fixed_point.stability, Stability::attracting);
}

struct Start {
  const char* activation;
  double sigma_w;
  double sigma_b;
  double input_square;
};

class AnyStart : public testing::TestWithParam<Start> {};
INSTANTIATE_TEST_SUITE_P(
    Asymptotics, AnyStart,
    testing::Values(Start{"gelu", std::sqrt(2.4), 0.225, 1},     // explodes past two fixed points
                    Start{"gelu", std::sqrt(2.4), 0.225, 0.01},  // settles on the lower of them
                    Start{"gelu", 1.55, 0.2, 1},                 // explodes past two fixed points
                    Start{"gelu", 1.55, 0.2, 0.01},              //
                    Start{"gelu", 1.6, 0, 1},                    // explodes
                    Start{"gelu", 1.6, 0, 0.01},                 // dies out: 0 attracts up to sigma_w = 2
                    Start{"silu", 1.6, 0.3, 1},                  //
                    Start{"tanh", 1.5, 0, 1e6},                  // falls on its fixed point
                    Start{"tanh", 1.5, 0, 1e-6},                 // rises to it
                    Start{"softplus", 1.2, 0.1, 1},              //
                    Start{"softplus", 1.5, 0.1, 1}));            // explodes

TEST_P(AnyStart, EndsWhereIterationDoes) {
  const auto& [activation, sigma_w, sigma_b, input_square] = GetParam();
  const nn::Activation phi = named(activation);

  const Asymptotics there = asymptotics(phi, sigma_w, sigma_b, input_square);
  double q = sigma_w * sigma_w * input_square + sigma_b * sigma_b;
  for (int l = 0; l < 3000 && q > 1e-200 && q < 1e100; ++l) q = q_map(phi, sigma_w, sigma_b, q);

  EXPECT_NEAR(there.chi1, chi1(phi, sigma_w, q), 1e-9);
  if (q > 1e100) {
    EXPECT_EQ(there.fixed_point.q, infinity);
    EXPECT_EQ(there.fixed_point.stability, Stability::none);
  } else {
    EXPECT_NEAR(there.fixed_point.q, q, 1e-9 * q + 1e-200);
    EXPECT_EQ(there.fixed_point.stability, Stability::attracting);
  }
}

TEST(Asymptotics, FindBothOfTwoFixedPointsWithinAFactorOfTwo) {
  const Asymptotics below = asymptotics(named("gelu"), std::sqrt(2.4), 0.225, 0.01);

  EXPECT_NEAR(below.fixed_point.q, 0.271358, six_digits);
  EXPECT_NEAR(below.chi1, 0.867532, six_digits);
}

TEST_P(EveryActivation, HasAsymptoticsForWeightsAndBiasesOfAnySize) {
  for (double sigma_b : {0.0, 0.3, 1e200}) {
    for (double sigma_w : {0.0, 1e-200}) {  // h vanishes from z: what is left are the biases
      const Asymptotics there = asymptotics(GetParam(), sigma_w, sigma_b);
      const bool no_signal = sigma_w == 0 && sigma_b == 0;

      EXPECT_EQ(there.fixed_point.stability, Stability::attracting);
      EXPECT_DOUBLE_EQ(there.fixed_point.q, sigma_b * sigma_b);
      EXPECT_EQ(there.chi1, 0);
      EXPECT_TRUE(no_signal ? std::isnan(there.c_star) : there.c_star == 1) << there.c_star;
    }
    const Asymptotics huge = asymptotics(GetParam(), 1e200, sigma_b);
    EXPECT_EQ(huge.fixed_point.q, infinity);
    EXPECT_EQ(huge.fixed_point.stability, GetParam().bounded() ? Stability::attracting : Stability::none);
    EXPECT_GT(huge.chi1, 1e100);
    EXPECT_GE(huge.c_star, 0);
    EXPECT_LE(huge.c_star, 1);
    EXPECT_NO_THROW(critical_sigma_w(GetParam(), sigma_b));
  }
}

TEST(Asymptotics, CoverParametersWhoseSquareIsNoDouble) {
  const nn::Activation steep = nn::Activation::named("leaky_relu", 1e160);

  EXPECT_NEAR(critical_sigma_w(steep, 0).sigma_w, std::numbers::sqrt2 * 1e-160, 1e-175);
  EXPECT_NEAR(asymptotics(steep, 1e-160, 0).chi1, 0.5, 1e-15);
  EXPECT_NEAR(asymptotics(steep, 1e-160, 0).depth_scale.gradient, 1 / std::log(2), 1e-14);
  EXPECT_NO_THROW(asymptotics(nn::Activation::named("elu", 1e160), 1, 0));
  EXPECT_NO_THROW(critical_sigma_w(nn::Activation::named("elu", 1e160), 0));
}

TEST(Asymptotics, HaveDepthScalesBeyondTheRangeOfADouble) {
  // chi1 = 1e-400: it shrinks by e in 1 / (400 ln 10) layers.
  EXPECT_NEAR(asymptotics(named("linear"), 1e-200, 0).depth_scale.gradient * 400 * std::numbers::ln10, 1,
              1e-14);
}

TEST(Asymptotics, OfTanhOnBothSidesOfTheCriticalPoint) {
  const Asymptotics chaos = asymptotics(named("tanh"), std::sqrt(2.5), std::sqrt(0.05));
  const Asymptotics order = asymptotics(named("tanh"), std::sqrt(1.25), std::sqrt(0.05));

  EXPECT_NEAR(chaos.chi1, 1.133516, six_digits);
  EXPECT_NEAR(order.chi1, 0.863240, six_digits);
  EXPECT_EQ(order.c_star, 1);
  EXPECT_GT(chaos.c_star, 0);
  EXPECT_LT(chaos.c_star, 1);
  EXPECT_NEAR(order.depth_scale.c, -1 / std::log(order.chi1), 1e-12);
  EXPECT_NEAR(chaos.depth_scale.gradient, 1 / std::log(chaos.chi1), 1e-12);
}

TEST(Asymptotics, HaveACorrelationThatIterationReaches) {
  const double sigma_w = std::sqrt(2.5);
  const Asymptotics there = asymptotics(named("tanh"), sigma_w, 0.3);

  double c = 0.5;
  for (int l = 0; l < 400; ++l) c = c_map(named("tanh"), sigma_w, 0.3, there.fixed_point.q, c);
  const double slope = c_map_slope(named("tanh"), sigma_w, 0.3, there.fixed_point.q, c);

  EXPECT_NEAR(c, there.c_star, 1e-9);
  EXPECT_NEAR(there.depth_scale.c, -1 / std::log(slope), 1e-6);
}

TEST(Asymptotics, ShowThatLibraryGainsAreNotCritical) {
  EXPECT_NEAR(asymptotics(named("tanh"), 5.0 / 3, 0).chi1, 1.209831, six_digits);
  EXPECT_NEAR(asymptotics(named("sigmoid"), 1, 0).chi1, 0.055721, six_digits);
  EXPECT_NEAR(asymptotics(named("selu"), 1, 0).chi1, 1.071575, six_digits);
  EXPECT_NEAR(asymptotics(named("gelu"), std::numbers::sqrt2, 0).chi1, 0.5, 1e-12);
  EXPECT_NEAR(asymptotics(named("silu"), std::numbers::sqrt2, 0).chi1, 0.5, 1e-12);
}

TEST(Asymptotics, GiveReluItsGrowthWithoutAFixedPoint) {
  const Asymptotics exploding = asymptotics(named("relu"), 2, 0.1);
  const Asymptotics straightening = asymptotics(named("softplus"), 2, 0.1);

  EXPECT_NEAR(exploding.chi1, 2, 1e-15);
  EXPECT_NEAR(straightening.chi1, 2, 1e-15);  // from afar softplus is relu
  EXPECT_EQ(exploding.c_star, 1);
}

}  // namespace
}  // namespace gradflow::theory
