#include "gradflow/experiment/prediction.hpp"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "gradflow/core/parallel.hpp"

namespace gradflow::experiment {
namespace {

nn::NetworkSpec network(double sigma_w, std::uint64_t seed = 1) {
  nn::NetworkSpec spec;
  spec.widths = nn::Widths::uniform(5, 8);
  spec.activation = nn::Activation::named("tanh");
  spec.init = nn::Initialisation::make("gaussian", sigma_w, 0.1);
  spec.batch = int(seed);
  spec.seed = seed;
  return spec;
}

TEST(PredictionsOfASweep, AreMadeOncePerConfigurationInAnyOrder) {
  Predictions predictions;
  std::vector<const Prediction*> first;
  constexpr int configurations = 40;
  for (int i = 0; i < configurations; ++i) first.push_back(&predictions.of(network(1 + 0.01 * i)));

  for (int i = 0; i < configurations; ++i) {
    EXPECT_EQ(&predictions.of(network(1 + 0.01 * i, 7)), first[std::size_t(i)]);  // seed and batch: no news
  }
  EXPECT_EQ(predictions.known(), std::size_t(configurations));
}

TEST(PredictionsOfASweep, AreThoseOfTheNetwork) {
  Predictions predictions;
  for (const double sigma_w : {0.9, 1.7}) {
    const Prediction alone = predict(network(sigma_w));
    const Prediction& remembered = predictions.of(network(sigma_w));
    EXPECT_EQ(remembered.profile.preact_log10_q, alone.profile.preact_log10_q);
    EXPECT_EQ(remembered.critical.sigma_w, alone.critical.sigma_w);
    EXPECT_EQ(remembered.asymptotics.chi1, alone.asymptotics.chi1);
  }
}

TEST(PredictionsOfASweep, LearnedTogetherAreThoseMadeOneByOne) {
  nn::Bundle bundle;
  for (const std::uint64_t seed : {1, 2}) {
    for (const double sigma_w : {0.9, 1.3, 1.7, 2.1}) bundle.push_back(network(sigma_w, seed));
  }
  for (const int threads : {1, 3}) {
    Predictions predictions;
    Threads(threads).run([&] { predictions.learn(bundle); });
    EXPECT_EQ(predictions.known(), 4u);
    for (const nn::NetworkSpec& spec : bundle) {
      const Prediction alone = predict(spec);
      EXPECT_EQ(predictions.of(spec).profile.preact_log10_q, alone.profile.preact_log10_q);
      EXPECT_EQ(predictions.of(spec).critical.sigma_w, alone.critical.sigma_w);
    }
    EXPECT_EQ(predictions.known(), 4u);
  }
}

TEST(PredictionsOfASweep, DifferWithEachWidth) {
  Predictions predictions;
  nn::NetworkSpec one = network(1.5), other = network(1.5);
  one.widths = nn::Widths::listed({8, 8, 16});
  other.widths = nn::Widths::listed({8, 16, 16});

  predictions.of(one);
  predictions.of(other);

  EXPECT_EQ(predictions.known(), 2u);
}

TEST(Predictions, OfNormalisedLayersNeedAnEpsilonBesideWhichTheVarianceIsLarge) {
  nn::NetworkSpec spec = network(1.0);
  spec.activation = nn::Activation::named("relu");
  spec.batch = 16;
  spec.normalization = {nn::NormalizationKind::batch, nn::NormalizationPosition::before, 1e-5, 1, 0};
  nn::NetworkSpec small = spec;
  small.init = nn::Initialisation::make("gaussian", 0.01, 0.1);

  EXPECT_NEAR(predict(spec).asymptotics.chi1, 1.589950, 5e-7);
  EXPECT_TRUE(std::isnan(predict(small).asymptotics.chi1));
  small.normalization.epsilon = 0;
  EXPECT_NEAR(predict(small).asymptotics.chi1, 1.589950, 5e-7);
}

}  // namespace
}  // namespace gradflow::experiment
