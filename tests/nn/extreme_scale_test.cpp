#include <cmath>

#include <gtest/gtest.h>

#include "gradflow/core/rescale.hpp"
#include "networks.hpp"
#include "one_step.hpp"

namespace gradflow::nn {
namespace {

using reference::Exact;

class EveryActivation : public testing::TestWithParam<std::string_view> {
 protected:
  const Activation phi = Activation::named(GetParam());

  /// phi' = e^-(something like sigma_w) has no 32-bit exponent any more.
  bool saturates_exponentially() const {
    return phi.name() == "tanh" || phi.name() == "erf" || phi.name() == "sigmoid";
  }

  template <class Real>
  void expect_small_weights(double sigma_w) const {
    const NetworkSpec spec = with_batch(network(Widths::uniform(30, 64), GetParam(), sigma_w), 2);

    const Recording recording = record<Real>({spec});

    EXPECT_FALSE(recording.failures.front());
    expect_every_step<Real>(spec, recording);
    const double factors = 29 * std::log10(sigma_w);  // and up to 10^0.7 for each phi' and each layer
    EXPECT_NEAR(recording.layer(1).dgrad[0][0].log10_norm(), factors, 29 * 0.7);
  }

  template <class Real>
  void expect_large_weights(double sigma_w) const {
    const NetworkSpec spec = with_batch(network(Widths::uniform(30, 64), GetParam(), sigma_w), 2);

    const Recording recording = record<Real>({spec});

    if (saturates_exponentially()) {
      EXPECT_EQ(recording.failures.front(), (Failure{FailureCode::exponent_overflow, 29, 0}));
    } else if (phi.name() == "sin") {
      EXPECT_EQ(recording.failures.front(), (Failure{FailureCode::phase_lost, 1, 0}));
    } else {
      EXPECT_FALSE(recording.failures.front());
      expect_every_step<Real>(spec, recording);
      EXPECT_EQ(recording.layer(1).dgrad[0][0].is_zero(), phi.name() == "hard_tanh");  // an analytic zero
    }
  }
};

TEST_P(EveryActivation, TakesTheSmallestWeights) {
  for (const double sigma_w : {1e-30, 1e-300}) {
    SCOPED_TRACE(sigma_w);
    expect_small_weights<float>(sigma_w);
    expect_small_weights<double>(sigma_w);
  }
}

TEST_P(EveryActivation, TakesTheLargestWeightsOrSaysWhyNot) {
  for (const double sigma_w : {1e30, 1e300}) {
    SCOPED_TRACE(sigma_w);
    expect_large_weights<float>(sigma_w);
    expect_large_weights<double>(sigma_w);
  }
}

bool has_no_exponent(const Exact& y) { return y == 0 || abs(ilogb(y)) > largest_exponent - 64; }

/// Networks of one unit: z wanders over all sizes and signs, far into the tails, and nothing hides behind a
/// larger one.
class SingleUnit : public EveryActivation {
 protected:
  bool zero_on_purpose(double x) const {
    return (phi.name() == "relu" && x <= 0) || (phi.name() == "hard_swish" && x <= -3) ||
           (phi.name() == "hard_tanh" && std::abs(x) >= 1);
  }

  template <class Real>
  void expect_steps_or_a_reason(const NetworkSpec& spec) {
    const Recording recording = record<Real>({spec});
    const Failure failure = recording.failures.front();
    if (!failure) {
      ++measured;
      expect_every_step<Real>(spec, recording);
      return;
    }
    const Row& before =
        failure.layer == 1 ? recording.input[0][0] : recording.layer(failure.layer - 1).act[0][0];
    const Row z = Layer<Real>(spec, failure.layer).times(before).value;
    const Exact x = ldexp(Exact(z.values[0]), int(z.exponent));
    if (phi.name() == "sin") {
      EXPECT_EQ(failure.code, FailureCode::phase_lost);
      EXPECT_GT(abs(x), std::ldexp(1.0, std::numeric_limits<Real>::digits));
      return;
    }
    EXPECT_EQ(failure.code, FailureCode::exponent_overflow);
    EXPECT_TRUE(has_no_exponent(reference::value(phi.name(), x, phi.parameter())) ||
                has_no_exponent(reference::slope(phi.name(), x, phi.parameter())))
        << "layer " << failure.layer << ", z = " << x;
    EXPECT_FALSE(zero_on_purpose(double(x)));
  }

  int measured = 0;
};

TEST_P(SingleUnit, IsMeasuredFarIntoItsTails) {
  const std::vector<double> scales{1e-300, 1e-30, 0.3, 3, 30, 1000, 1e30};
  for (const double sigma_w : scales) {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      NetworkSpec spec = network(Widths::uniform(12, 1), GetParam(), sigma_w);
      spec.seed = seed;
      SCOPED_TRACE(testing::Message() << "sigma_w " << sigma_w << ", seed " << seed);
      expect_steps_or_a_reason<float>(spec);
      expect_steps_or_a_reason<double>(spec);
    }
  }
  EXPECT_GE(measured, 4 * 6 * 2);  // up to sigma_w = 3 at least, whatever the activation
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryActivation, testing::ValuesIn(activation_names()), row_name);
INSTANTIATE_TEST_SUITE_P(Catalogue, SingleUnit, testing::ValuesIn(activation_names()), row_name);

TEST(DeadNetwork, HasNoSignalAboveItsDeathAndNoGradientBelowTheCotangent) {
  NetworkSpec spec = network(Widths::uniform(12, 1), "relu", 1);
  Recording recording = record<float>({spec});
  while (recording.layer(1).act[0][0].is_zero()) {  // dead at once: no death to be seen
    ++spec.seed;
    recording = record<float>({spec});
  }

  int dead_from = 2;
  while (dead_from < 12 && !recording.layer(dead_from).act[0][0].is_zero()) ++dead_from;
  for (int l = 1; l <= 12; ++l) {
    EXPECT_EQ(recording.layer(l).act[0][0].is_zero(), l >= dead_from);
    EXPECT_EQ(recording.layer(l).preact[0][0].is_zero(), l > dead_from);
    EXPECT_EQ(recording.layer(l).dgrad[0][0].is_zero(), l < 12);  // z = 0 has slope 0, as in PyTorch
  }
  EXPECT_FALSE(recording.failures.front());
}

}  // namespace
}  // namespace gradflow::nn
