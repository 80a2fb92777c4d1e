#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "estimate.hpp"
#include "gradflow/core/scaled.hpp"
#include "gradflow/stats/formats.hpp"
#include "gradflow/theory/finite_width.hpp"
#include "increments.hpp"

namespace gradflow::experiment {
namespace {

constexpr int width = 64, depth = 10000;

// ---------------------------------------------------------------------------- one straight line

/// A network of float32 that, far enough from size 1, is a leaky ReLU: for large |z| if it explodes, for
/// small if it vanishes.
struct Line {
  const char* name;
  const char* activation;
  double above;   ///< phi(z)/z for z > 0 there
  double below;   ///< and for z < 0
  double growth;  ///< of q per layer
  double sigma_w() const { return std::sqrt(2 * growth / (above * above + below * below)); }

  theory::Increment law() const {
    const double v = sigma_w() * sigma_w() / width * above * above;
    if (below == 0) return theory::relu_increment(width, v);
    if (below == above) return theory::linear_increment(width, v);
    return theory::leaky_relu_increment(width, v, below / above);
  }

  friend std::ostream& operator<<(std::ostream& out, const Line& x) { return out << x.name; }
};

constexpr double selu_scale = 1.0507009873554805, selu_alpha = 1.6732632423543772;

class DeepLine : public testing::TestWithParam<Line> {};
INSTANTIATE_TEST_SUITE_P(
    Float32, DeepLine,
    testing::Values(Line{"exploding_relu", "relu", 1, 0, 2}, Line{"exploding_softplus", "softplus", 1, 0, 2},
                    Line{"exploding_selu", "selu", selu_scale, 0, 2},
                    Line{"vanishing_relu", "relu", 1, 0, 0.5}, Line{"vanishing_tanh", "tanh", 1, 1, 0.5},
                    Line{"vanishing_gelu", "gelu", 0.5, 0.5, 0.5},
                    Line{"vanishing_selu", "selu", selu_scale, selu_scale* selu_alpha, 0.5}),
    [](const auto& instance) { return instance.param.name; });

// q doubles or halves per layer, forward and backward, up to 2^10000 and down to 2^-10000. Layers below 200
// are left out: there q is not yet far from 1. No break: every thousand layers follow the law, and no
// increment is seven standard deviations out of line.
TEST_P(DeepLine, FollowsTheExactLawOfHomogeneousNetworksOverTenThousandLayers) {
  constexpr int stationary = depth - 200, segment = 1000;
  const theory::Increment law = GetParam().law();

  const MeasuredPoint network =
      measure_one(fmt::format(R"(
    network = {{ activation = "{}", depth = {}, width = {} }}
    init = {{ sigma_w = {:.17g} }}
    data = {{ batch = 1 }}
    statistics = {{ preset = "lean" }}
  )",
                              GetParam().activation, depth, width, GetParam().sigma_w()));

  std::vector<double> forward = forward_increments(network), backward = backward_increments(network);
  std::ranges::reverse(forward);  // both from the last layer down
  for (std::vector<double>* s : {&forward, &backward}) {
    SCOPED_TRACE(s == &forward ? "forward" : "backward");
    s->resize(stationary);
    expect_law(mean_of(*s), law.mean);
    expect_law(variance_of(*s), law.variance);
    for (double sum : sums_of(segment, *s))
      expect_law({sum, std::sqrt(segment * law.variance)}, segment * law.mean);
    for (double increment : *s) EXPECT_NEAR(increment, law.mean, 7 * std::sqrt(law.variance));
  }
}

// ---------------------------------------------------------------------------- sigmoid

/// log10 of the typical norm of dE/dz changes by this per layer for sigmoid with sigma_w = 1.
double sigmoid_slope(int units) { return -0.626992 - 0.274 / units; }

// From 1 down to 1e-6313 in float32: the same slope in every thousand layers, and no layer out of line.
TEST(Sigmoid, TypicalGradientIsOneStraightLineOverTenThousandLayersInFloat32) {
  const MeasuredPoint network = measure_one(fmt::format(R"(
    network = {{ activation = "sigmoid", depth = {}, width = {} }}
    init = {{ sigma_w = 1.0 }}
    data = {{ batch = 1 }}
    statistics = {{ preset = "lean" }}
  )",
                                                        depth, width));

  std::vector<double> slope = backward_increments(network);
  for (double& s : slope) s /= 2 * std::numbers::ln10;
  const double deviation = std::sqrt(variance_of(slope).value);
  expect_law(mean_of(slope), sigmoid_slope(width));
  for (double sum : sums_of(1000, slope))
    expect_law({sum / 1000, deviation / std::sqrt(1000)}, sigmoid_slope(width));
  for (double s : slope) EXPECT_NEAR(s, sigmoid_slope(width), 7 * deviation);
  EXPECT_LT(network.column("dgrad_log10_norm_mean").front(), -6200);
}

/// The first number of layers below the last at which at least this share of the elements is nothing in a
/// format.
int layers_until(double share, const std::vector<double>& underflow_fraction) {
  const auto from_last = std::find_if(underflow_fraction.rbegin(), underflow_fraction.rend(),
                                      [&](double f) { return f >= share; });
  return int(from_last - underflow_fraction.rbegin());
}

// Half of the elements of N(0, r^2) lie below 0.6745 r, and r falls by the slope per layer. Its random walk:
// a typical norm is half the variance of its logarithm below the mean-field one, so 0.274/N per layer is a
// variance of 0.274/(N ln 10) of log10 r. The samples walk together once they have aligned, after about N
// layers. Half a layer is lost by counting whole ones.
TEST(Sigmoid, EachFormatLosesHalfOfTheGradientAtItsOwnDepth) {
  constexpr int units = 128;
  const MeasuredPoint network = measure_one(fmt::format(R"(
    network = {{ activation = "sigmoid", depth = 560, width = {} }}
    init = {{ sigma_w = 1.0 }}
    data = {{ batch = 32 }}
  )",
                                                        units));

  for (int format = 0; format < stats::format_count; ++format) {
    SCOPED_TRACE(stats::formats()[std::size_t(format)].name);
    const double log10_threshold = stats::formats()[std::size_t(format)].log2_threshold * Scaled::log10_of_2;
    const double law = (log10_threshold - std::log10(0.6745)) / sigmoid_slope(units);
    const double walk = std::sqrt(law * 0.274 / (units * std::numbers::ln10)) / -sigmoid_slope(units);

    const int layers = layers_until(0.5, network.column("dgrad_underflow_fraction", format));

    EXPECT_NEAR(layers, law + 0.5, 0.5 + 4 * walk);
  }
}

// Where a plain float32 implementation loses the gradient: the first elements 69 layers below the last, all
// soon after 72. Here they are only counted: the norm goes on.
TEST(Sigmoid, Float32ElementsWouldVanishAbout70LayersBelowTheLast) {
  const MeasuredPoint network = measure_one(R"(
    network = { activation = "sigmoid", depth = 90, width = 256 }
    init = { sigma_w = 1.0 }
    data = { batch = 32 }
  )");

  const std::vector<double> fraction = network.column("dgrad_underflow_fraction", 4);
  EXPECT_NEAR(layers_until(0.01, fraction), 69, 1);
  EXPECT_NEAR(layers_until(0.5, fraction), 72, 1);
  EXPECT_LE(layers_until(0.999, fraction), 75);
  EXPECT_THAT(network.column("dgrad_zero_fraction"), testing::Each(0));
}

// A plain float32 sum of squares loses a gradient at twice the distance from 1: it is 0 as soon as every
// element is at most 2^-75, whose square rounds to 0. That is 37 layers below a cotangent of N(0, 1)
// elements, 35 below one of norm 1.
TEST(Sigmoid, PlainSumsOfSquaresWouldBeZero37LayersBelowTheLast) {
  constexpr int units = 256;
  const MeasuredPoint network = measure_one(fmt::format(R"(
    network = {{ activation = "sigmoid", depth = 50, width = {} }}
    init = {{ sigma_w = 1.0 }}
    data = {{ batch = 1 }}
  )",
                                                        units));

  const double unseen = -75 * Scaled::log10_of_2;
  const auto layers_until_unseen = [&](double log10_of_cotangent) {
    std::vector<double> absmax = network.column("dgrad_log10_absmax");
    std::ranges::reverse(absmax);
    const auto found =
        std::ranges::find_if(absmax, [&](double x) { return x - log10_of_cotangent <= unseen; });
    return int(found - absmax.begin());
  };
  // The largest of 256 normal numbers is 2.8 +- 0.4 standard deviations, 0.1 layers; the walk of 37 layers
  // is one of 0.1, and whole layers are counted.
  EXPECT_NEAR(layers_until_unseen(0), 37, 1);
  EXPECT_NEAR(layers_until_unseen(std::log10(std::sqrt(units))), 35, 1);
}

}  // namespace
}  // namespace gradflow::experiment
