#include "gradflow/theory/phase.hpp"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "gradflow/theory/maps.hpp"
#include "theory/brute_force.hpp"

namespace gradflow::theory {
namespace {

nn::Activation named(std::string_view name) { return nn::Activation::named(name); }

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

class EveryActivation : public testing::TestWithParam<nn::Activation> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryActivation, testing::ValuesIn(whole_catalogue()),
                         [](const auto& test) { return std::string(test.param.name()); });

TEST_P(EveryActivation, IsCriticalWhereItSaysSo) {
  const double sigma_b = std::sqrt(0.05);
  const CriticalPoint critical = critical_sigma_w(GetParam(), sigma_b);
  if (critical.stability == Stability::none || critical.stability == Stability::marginal) return;

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

TEST(QFixedPoint, OfAnExplodingReluIsRepellingOrAbsent) {
  EXPECT_EQ(q_fixed_point(named("relu"), 2, 0).stability, Stability::repelling);
  EXPECT_EQ(q_fixed_point(named("relu"), 2, 0.1).stability, Stability::none);
  EXPECT_EQ(q_fixed_point(named("relu"), std::numbers::sqrt2, 0).stability, Stability::marginal);
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

TEST(Asymptotics, GiveReluItsGrowthEvenWithoutAFixedPoint) {
  const Asymptotics exploding = asymptotics(named("relu"), 2, 0.1);
  const Asymptotics unknown = asymptotics(named("softplus"), 2, 0.1);

  EXPECT_NEAR(exploding.chi1, 2, 1e-15);
  EXPECT_TRUE(std::isnan(exploding.fixed_point.q));
  EXPECT_TRUE(std::isnan(unknown.chi1));
}

}  // namespace
}  // namespace gradflow::theory
