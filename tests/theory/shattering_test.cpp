#include "gradflow/theory/shattering.hpp"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "theory/simulation.hpp"

namespace gradflow::theory {
namespace {

using std::numbers::pi;

nn::Activation named(std::string_view name) { return nn::Activation::named(name); }

TEST(GradientCorrelation, OfReluIsAProductOfSharedGates) {
  const std::vector<double> c{0, 1 / pi, 0.6, 0.9};

  const std::vector<double> gradients = gradient_correlation(named("relu"), 1, c);

  double product = 1;
  for (std::size_t l = 4; l-- > 0;) {
    EXPECT_NEAR(gradients[l], product, 1e-14);
    if (l > 0) product *= 1 - std::acos(c[l - 1]) / pi;
  }
}

TEST(GradientCorrelation, OfDecorrelatedReluHalvesPerLayer) {
  const std::vector<double> gradients = gradient_correlation(named("relu"), 1, std::vector<double>(11, 0.0));

  EXPECT_NEAR(gradients[0], std::exp2(-10), 1e-16);
}

TEST(GradientCorrelation, OfTanhIsThatOfSampledPairs) {
  const double q = 0.8, c = 0.4;
  Random random(1);
  Vector shared, own;
  for (int i = 0; i < 200000; ++i) {
    const double z1 = random.normal();
    const double z2 = c * z1 + std::sqrt(1 - c * c) * random.normal();
    const auto slope = [&](double z) { return 1 - std::pow(std::tanh(std::sqrt(q) * z), 2); };
    shared.push_back(slope(z1) * slope(z2));
    own.push_back(slope(z1) * slope(z1));
  }

  const double law = gradient_correlation(named("tanh"), q, std::vector<double>{c, 0.0})[0];

  const Estimate numerator = estimate(shared), denominator = estimate(own);
  EXPECT_NEAR(numerator.mean / denominator.mean, law,
              4 * (numerator.error + denominator.error) / denominator.mean);
}

TEST(BiasShift, IsThePublishedOne) {
  EXPECT_NEAR(bias_shift_share(named("relu"), 3), 1 / pi, 1e-14);
  EXPECT_NEAR(bias_shift_share(named("elu"), 1), 0.039952, 5e-7);
  EXPECT_NEAR(bias_shift_share(named("tanh"), 1), 0, 1e-24);
  EXPECT_NEAR(bias_shift_share(named("selu"), 1), 0, 1e-20);  // its fixed point of mean 0 and variance 1
}

}  // namespace
}  // namespace gradflow::theory
