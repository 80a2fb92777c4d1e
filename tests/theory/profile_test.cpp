#include "gradflow/theory/profile.hpp"

#include <cmath>
#include <numbers>
#include <utility>

#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/theory/maps.hpp"
#include "gradflow/theory/moments.hpp"
#include "gradflow/theory/phase.hpp"

namespace gradflow::theory {
namespace {

DenseNetwork uniform(const char* activation, int depth, double sigma_w, double sigma_b) {
  const auto layers = std::size_t(depth);
  return {.activation = nn::Activation::named(activation),
          .sigma_w = std::vector<double>(layers, sigma_w),
          .sigma_b = std::vector<double>(layers, sigma_b),
          .widths = std::vector<int>(layers + 1, 128)};
}

TEST(Profile, BeginsWithTheInputsThroughTheFirstWeights) {
  DenseNetwork network = uniform("tanh", 1, 1.5, 0.5);
  network.input_square = 2;
  network.input_correlation = 0.25;

  const Profile profile = predict(network);

  const double q = 2.25 * 2 + 0.25;
  EXPECT_NEAR(profile.preact_log10_q[0], std::log10(q), 1e-15);
  EXPECT_NEAR(profile.preact_corr[0], (2.25 * 2 * 0.25 + 0.25) / q, 1e-15);
  EXPECT_EQ(profile.dgrad_log10_rms[0], 0);
}

TEST(Profile, FollowsTheMapsLayerByLayer) {
  for (const char* name : {"tanh", "sigmoid", "hard_tanh", "softplus", "selu", "sin", "relu"}) {
    const double sigma_w = 1.25;
    const double sigma_b = 0.2;
    const nn::Activation phi = nn::Activation::named(name);

    const Profile profile = predict(uniform(name, 60, sigma_w, sigma_b));

    double q = sigma_w * sigma_w + sigma_b * sigma_b;
    double c = sigma_b * sigma_b / q;
    for (std::size_t i = 0; i < 60; ++i) {
      // A c-map of slope up to 1.2 carries the 1e-14 of one layer to the next; 60 layers of it are 1e-9 at
      // worst.
      ASSERT_NEAR(profile.preact_log10_q[i], std::log10(q), 1e-12) << name << " layer " << i + 1;
      ASSERT_NEAR(profile.preact_corr[i], c, 1e-10) << name << " layer " << i + 1;
      c = c_map(phi, sigma_w, sigma_b, q, c);
      q = q_map(phi, sigma_w, sigma_b, q);
    }
  }
}

TEST(Profile, OfASharedCotangentIsThatOfTheSharedSlopes) {
  for (const char* name : {"tanh", "hard_tanh", "gelu", "relu", "sin"}) {
    DenseNetwork network = uniform(name, 60, 1.3, 0.2);
    network.shared_cotangent = true;

    const Profile profile = predict(network);

    double correlation = 1;
    for (std::size_t i = 60; i-- > 0;) {
      ASSERT_NEAR(profile.dgrad_corr[i], correlation, 1e-10) << name << " layer " << i + 1;
      if (i == 0) break;
      const Moments moments(network.activation);
      const Scaled q = Scaled::of(std::pow(10, profile.preact_log10_q[i - 1]));
      const Scaled shared = moments.slope_product(q, profile.preact_corr[i - 1]);
      correlation *= (shared / moments.slope_square(q)).value();
    }
  }
}

TEST(Profile, OfIndependentCotangentsIsUncorrelated) {
  for (double c : predict(uniform("tanh", 5, 1.3, 0.2)).dgrad_corr) EXPECT_EQ(c, 0);
}

TEST(Profile, OfTheCorrelationStaysExactWhenItIsInterpolated) {
  // Near the critical line q stands still after 60 layers and c moves for ever: the case that is
  // interpolated.
  for (const auto& [name, sigma_w] :
       {std::pair{"tanh", std::sqrt(1.760955)}, {"hard_tanh", std::sqrt(1.165545)}}) {
    const double sigma_b = std::sqrt(0.05);

    const Profile profile = predict(uniform(name, 300, sigma_w, sigma_b));

    const double q = std::pow(10, profile.preact_log10_q.back());
    const nn::Activation phi = nn::Activation::named(name);
    for (std::size_t i : {100, 150, 298}) {
      EXPECT_NEAR(profile.preact_corr[i + 1], c_map(phi, sigma_w, sigma_b, q, profile.preact_corr[i]), 1e-11)
          << name << " layer " << i + 1;
    }
  }
}

TEST(Profile, OfTanhAtTheEdgeDecaysAsOneOverDepth) {
  const Profile profile = predict(uniform("tanh", 100, 1, 0));

  EXPECT_NEAR(2 * 100 * std::pow(10, profile.preact_log10_q[99]), 1.0241, 5e-5);
}

TEST(Profile, OfTheGradientAtTheEdgeFallsAsOneOverDepth) {
  const int depth = 1000;
  const Profile profile = predict(uniform("tanh", depth, 1, 0));

  EXPECT_NEAR(std::pow(10, 2 * profile.dgrad_log10_rms[0]) * depth, 0.707, 5e-3);
}

TEST(Profile, GrowsByChiOfEachLayerTimesTheWidths) {
  DenseNetwork network = uniform("tanh", 3, 1.5, 0.3);
  network.sigma_w = {1.5, 1.2, 0.7};
  network.widths = {50, 200, 100, 400};

  const Profile profile = predict(network);

  const auto q = [&](int layer) { return std::pow(10, profile.preact_log10_q[std::size_t(layer - 1)]); };
  const nn::Activation tanh = network.activation;
  const double second = chi1(tanh, 0.7, q(2)) * 400 / 100;  // dE/dz_2 from dE/dz_3 through W_3
  const double first = second * chi1(tanh, 1.2, q(1)) * 100 / 200;
  EXPECT_EQ(profile.dgrad_log10_rms[2], 0);
  EXPECT_NEAR(profile.dgrad_log10_rms[1], std::log10(second) / 2, 1e-13);
  EXPECT_NEAR(profile.dgrad_log10_rms[0], std::log10(first) / 2, 1e-13);
}

TEST(Profile, OfADoublingReluIsAStraightLineForTenThousandLayers) {
  const Profile profile = predict(uniform("relu", 10000, 2, 0));

  // q_1 = 4, each layer doubles; a logarithm of 3010 has 4.5e-13 between neighbours, and 10,000 factors
  // round.
  EXPECT_NEAR(profile.preact_log10_q.back(), 10001 * std::log10(2.0), 1e-8);
  EXPECT_NEAR(profile.dgrad_log10_rms.front(), 9999 * std::log10(2.0) / 2, 1e-8);
}

TEST(Profile, OfAVanishingTanhIsAStraightLineForTenThousandLayers) {
  const Profile profile = predict(uniform("tanh", 10000, 0.4, 0));

  const double per_layer = 2 * std::log10(0.4);
  const double last = profile.preact_log10_q[9999];
  EXPECT_LT(last, -4000);
  EXPECT_NEAR(last - profile.preact_log10_q[999], 9000 * per_layer, 1e-8);
  EXPECT_NEAR(profile.dgrad_log10_rms[999], 9000 * per_layer / 2, 1e-8);
  EXPECT_NEAR(profile.preact_corr[9999], profile.preact_corr[999], 1e-8);
}

TEST(Profile, OfSigmoidFallsToTenToTheMinusSixThousand) {
  const Profile profile = predict(uniform("sigmoid", 10000, 1, 0));

  const double per_layer = (profile.dgrad_log10_rms[999] - profile.dgrad_log10_rms[9999]) / 9000;
  EXPECT_NEAR(per_layer, -0.626992, 1e-6);
  EXPECT_NEAR(profile.dgrad_log10_rms[0], -6269.3, 0.1);
}

TEST(Profile, KnowsThatWeightsOfZeroSendNothingBack) {
  const Profile profile = predict(uniform("tanh", 3, 0, 0));

  EXPECT_EQ(profile.preact_log10_q[2], -INFINITY);
  EXPECT_EQ(profile.dgrad_log10_rms[0], -INFINITY);
  EXPECT_TRUE(std::isnan(profile.preact_corr[2]));
}

TEST(Profile, SurvivesALayerOfZeros) {
  DenseNetwork network = uniform("tanh", 3, 1, 0.5);
  network.sigma_w[1] = network.sigma_b[1] = 0;

  const Profile profile = predict(network);

  EXPECT_NEAR(profile.preact_log10_q[2], std::log10(0.25), 1e-15);
  EXPECT_EQ(profile.preact_corr[2], 1);
}

TEST(Profile, IsNaNWhereThereIsNoTheory) {
  const Profile profile = Profile::unknown(4);

  ASSERT_EQ(profile.dgrad_log10_rms.size(), 4u);
  EXPECT_TRUE(std::isnan(profile.preact_log10_q[3]));
}

TEST(Profile, RefusesWidthsThatDoNotFit) {
  DenseNetwork network = uniform("tanh", 3, 1, 0);
  network.widths.pop_back();

  EXPECT_THROW(predict(network), BrokenPromise);
}

}  // namespace
}  // namespace gradflow::theory
