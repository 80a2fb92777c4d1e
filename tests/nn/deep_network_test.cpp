#include <cmath>

#include <gtest/gtest.h>

#include "networks.hpp"
#include "one_step.hpp"

namespace gradflow::nn {
namespace {

constexpr int depth = 10000, width = 32;
constexpr int transient = 200;  ///< layers until phi is a straight line, or two, to 1e-9

/// E ln of sigma_w^2/N sum of (g_i x_i)^2, x_i normal and g_i a fair coin's choice between two slopes: the
/// increment of ln of the squared norm, forward and backward. By E ln X = int (e^-t - E e^(-tX)) dt/t.
double mean_increment(double sigma_w, double slope_above, double slope_below) {
  const auto half = [](double slope, double t) { return 0.5 / std::sqrt(1 + 2 * slope * slope * t / width); };
  double integral = 0;
  const double step = 0.01;  // of ln t; the trapezium rule is exact to rounding for a function as smooth
  for (double u = -40; u < 12; u += step) {
    const double t = std::exp(u);
    integral += step * (std::exp(-t) - std::pow(half(slope_above, t) + half(slope_below, t), width));
  }
  return 2 * std::log(sigma_w) + integral;
}

struct Line {
  double mean = 0, standard_error = 0;
};

/// Of the increments of ln of the squared norm of sample 0, per layer in the direction of the pass. They are
/// independent (linear) or uncorrelated (two slopes), so their own variance is all there is to know.
template <class SignalOf>
Line increments(const Recording& recording, SignalOf signal_of, int direction) {
  double sum = 0, squares = 0;
  for (int l = transient; l < depth; ++l) {
    const auto log_of = [&](int layer) {
      return std::log(10.0) * signal_of(recording.layer(layer)).squared_norm().log10();
    };
    const double s = direction * (log_of(l + 1) - log_of(l));
    sum += s;
    squares += s * s;
  }
  const double n = depth - transient;
  return {sum / n, std::sqrt((squares / n - sum / n * (sum / n)) / n)};
}

const Row& act(const LayerRecording& layer) { return layer.act[0][0]; }
const Row& dgrad(const LayerRecording& layer) { return layer.dgrad[0][0]; }

void expect_law(Line line, double mean) {
  EXPECT_NEAR(line.mean, mean, 4 * line.standard_error);
  EXPECT_LT(line.standard_error, 0.006);  // sqrt(5/32/10000) = 0.004
}

class EveryActivation : public testing::TestWithParam<std::string_view> {
 protected:
  const Activation phi = Activation::named(GetParam());

  NetworkSpec deep_network(double sigma_w) const {
    return network(Widths::uniform(depth, width), GetParam(), sigma_w);
  }
  /// Halves a signal near 0.
  double vanishing() const { return 0.5 / phi.slope(1e-300); }
  /// chi1 > 1; hard_tanh keeps half of its 32 gates open.
  double exploding() const { return !phi.bounded() ? 3 : phi.slope_has_zeros() ? 2 : 20; }
};

TEST_P(EveryActivation, GoesOnVanishingToLayerTenThousand) {
  const NetworkSpec spec = deep_network(vanishing());

  const Recording recording = record<float>({spec});

  expect_every_step<float>(spec, recording);
  EXPECT_LT(dgrad(recording.layer(1)).log10_norm(), -1000);
  if (!phi.zero_at_zero()) return;
  EXPECT_LT(act(recording.layer(depth)).log10_norm(), -1000);
  const double law = mean_increment(vanishing(), phi.slope(1e-300), phi.slope(-1e-300));
  expect_law(increments(recording, act, +1), law);
  expect_law(increments(recording, dgrad, -1), law);
}

TEST_P(EveryActivation, GoesOnExplodingToLayerTenThousand) {
  const NetworkSpec spec = deep_network(exploding());

  const Recording recording = record<float>({spec});

  expect_every_step<float>(spec, recording);
  EXPECT_GT(dgrad(recording.layer(1)).log10_norm(), 300);
  if (phi.bounded()) return;
  EXPECT_GT(act(recording.layer(depth)).log10_norm(), 1000);
  const double law = mean_increment(exploding(), phi.slope(1e300), phi.slope(-1e300));
  expect_law(increments(recording, act, +1), law);
  expect_law(increments(recording, dgrad, -1), law);
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryActivation, testing::ValuesIn(activation_names()), row_name);

}  // namespace
}  // namespace gradflow::nn
