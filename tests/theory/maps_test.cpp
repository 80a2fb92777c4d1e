#include "gradflow/theory/maps.hpp"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::theory {
namespace {

nn::Activation named(const char* name) { return nn::Activation::named(name); }

// What is printed with six digits is tested to half of the last.
constexpr double six_digits = 5e-7;

TEST(QMap, OfErfIsAnArcSine) {
  for (double q : {1e-10, 0.1, 1.0, 40.0}) {
    const double closed = 1.7 * 1.7 * 2 / std::numbers::pi * std::asin(2 * q / (1 + 2 * q)) + 0.3 * 0.3;

    EXPECT_NEAR(q_map(named("erf"), 1.7, 0.3, q) / closed, 1, 1e-12);
  }
}

TEST(QMap, OfReluHalvesTheVariance) {
  for (double q : {1e-300, 1.0, 1e300}) EXPECT_NEAR(q_map(named("relu"), 1.2, 0, q) / (0.72 * q), 1, 1e-14);
}

TEST(QMap, HasTheSlopeItClaims) {
  // The central difference of step h q is off by h^2 / 6 of the third derivative, and by rounding 1e-15 / h.
  const double h = 1e-4;
  for (const char* name : {"tanh", "sigmoid", "softplus", "elu", "selu", "hard_swish", "mish", "sin"}) {
    for (double q : {0.1, 1.0, 9.0}) {
      const double difference =
          (q_map(named(name), 1.5, 0.2, q * (1 + h)) - q_map(named(name), 1.5, 0.2, q * (1 - h))) /
          (2 * h * q);

      EXPECT_NEAR(q_map_slope(named(name), 1.5, q), difference, 1e-7) << name << ' ' << q;
    }
  }
}

TEST(CMap, OfReluFollowsTheArcCosineRecursion) {
  const double expected[] = {0.318310, 0.493731, 0.604826};
  double c = 0;
  for (double next : expected) {
    c = c_map(named("relu"), std::numbers::sqrt2, 0, 1, c);

    EXPECT_NEAR(c, next, six_digits);
  }
}

TEST(CMap, OfReluApproachesOneLikeOneOverTheSquareOfDepth) {
  // 1 - c = 9 pi^2 / (2 l^2) = 44.4 / l^2, which is no number of the first layers: 2.8 for 0.395 at the
  // fourth. The next term is of relative order ln l / l.
  constexpr int depth = 10000;
  double c = 0;
  for (int l = 1; l < depth; ++l) c = c_map(named("relu"), std::numbers::sqrt2, 0, 1, c);

  const double asymptote = 9 * std::numbers::pi * std::numbers::pi / 2;
  EXPECT_NEAR(asymptote, 44.4, 0.05);
  EXPECT_NEAR((1 - c) * depth * depth / asymptote, 1, 10 * std::log(depth) / depth);
}

TEST(CMap, KeepsEqualSamplesEqual) {
  for (const nn::ActivationRow& row : nn::activations()) {
    EXPECT_EQ(c_map(named(row.name.data()), 1.3, 0.2, 0.7, 1), 1) << row.name;
  }
}

TEST(CMap, HasChi1AsItsSlopeAtOneWhereQIsFixed) {
  const double q = 0.570048;  // of tanh at sigma_w^2 = 1.760955, sigma_b^2 = 0.05
  const double sigma_w = std::sqrt(1.760955);

  const double slope = c_map_slope(named("tanh"), sigma_w, std::sqrt(0.05), q, 1);

  EXPECT_NEAR(slope, chi1(named("tanh"), sigma_w, q), 3e-6);  // q is given to six digits
}

TEST(CMap, HasTheSlopeItClaims) {
  const double h = 1e-5;  // the central difference errs by h^2, and by 1e-12 / h
  for (const char* name : {"tanh", "hard_tanh", "softplus", "selu", "relu"}) {
    for (double c : {-0.5, 0.2, 0.8}) {
      const double difference =
          (c_map(named(name), 1.5, 0.2, 2, c + h) - c_map(named(name), 1.5, 0.2, 2, c - h)) / (2 * h);

      EXPECT_NEAR(c_map_slope(named(name), 1.5, 0.2, 2, c), difference, 1e-7) << name << ' ' << c;
    }
  }
}

TEST(CMap, RefusesWhatIsNoCorrelation) { EXPECT_THROW(c_map(named("tanh"), 1, 0, 1, 1.5), BrokenPromise); }

TEST(Chi1, OfReluDoesNotDependOnTheVariance) {
  for (double q : {0.0, 1e-300, 1.0, 1e300}) EXPECT_NEAR(chi1(named("relu"), 2, q), 2, 1e-15);
}

TEST(Chi1, OfGeluAndSiluTendsToAQuarterOfTheWeightVarianceAtZero) {
  for (const char* name : {"gelu", "silu"})
    EXPECT_NEAR(chi1(named(name), std::numbers::sqrt2, 0), 0.5, 1e-12);
}

}  // namespace
}  // namespace gradflow::theory
