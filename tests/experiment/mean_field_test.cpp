#include <cmath>
#include <numbers>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "estimate.hpp"
#include "gradflow/theory/maps.hpp"
#include "gradflow/theory/phase.hpp"
#include "measured.hpp"

namespace gradflow::experiment {
namespace {

using std::numbers::ln10;

struct Phase {
  const char* name;
  const char* activation;
  double weight_variance;  ///< sigma_w^2
  double bias_variance;    ///< sigma_b^2
  double chi1;             ///< published

  friend std::ostream& operator<<(std::ostream& out, const Phase& x) { return out << x.name; }
};

// On erf's critical line at q = 1: sigma_w^2 = (pi/4) sqrt(1 + 4q), sigma_b^2 = q - 1/2 sqrt(1 + 4q) asin(2q
// / (1 + 2q)).
const double erf_weight_variance = std::numbers::pi / 4 * std::sqrt(5);
const double erf_bias_variance = 1 - std::sqrt(5) / 2 * std::asin(2.0 / 3);

class DeepLayers : public testing::TestWithParam<Phase> {};
INSTANTIATE_TEST_SUITE_P(OrderToChaos, DeepLayers,
                         testing::Values(Phase{"ordered", "tanh", 1.25, 0.05, 0.863240},
                                         Phase{"critical", "tanh", 1.760955, 0.05, 1},
                                         Phase{"chaotic", "tanh", 2.5, 0.05, 1.133516},
                                         Phase{"erf_on_its_line", "erf", erf_weight_variance,
                                               erf_bias_variance, 1},
                                         // What libraries advise.
                                         Phase{"tanh_gain", "tanh", 25.0 / 9, 0, 1.209831},
                                         Phase{"sigmoid_gain", "sigmoid", 1, 0, 0.055721},
                                         Phase{"selu_at_its_fixed_point", "selu", 1, 0, 1.071575}),
                         [](const auto& instance) { return instance.param.name; });

// ln E (dE/dz)^2 grows by ln chi1 per layer towards the input and q stays at q*, between layers 20 and 50:
// neither end is stationary. One layer's error in ln q is carried on by the slope of the length map, so it
// adds up to 1/(1 - slope).
TEST_P(DeepLayers, HaveAGradientThatGrowsByChi1PerLayerAndAVarianceAtItsFixedPoint) {
  const int width = 512, first = 20, last = 50;
  const nn::Activation phi = nn::Activation::named(GetParam().activation);
  const double sigma_w = std::sqrt(GetParam().weight_variance), sigma_b = std::sqrt(GetParam().bias_variance);
  const theory::FixedPoint fixed = theory::q_fixed_point(phi, sigma_w, sigma_b);
  ASSERT_EQ(fixed.stability, theory::Stability::attracting);

  const std::vector<MeasuredPoint> networks =
      measure(fmt::format(R"(
    network = {{ activation = "{}", depth = 60, width = {} }}
    init = {{ sigma_w = {:.17g}, sigma_b = {:.17g} }}
    data = {{ batch = 32 }}
    sweep = {{ seed = {{ range = [0, 12] }} }}
  )",
                          GetParam().activation, width, sigma_w, sigma_b));

  std::vector<double> growth, ln_q;
  for (const MeasuredPoint& network : networks) {
    const std::vector<double> log10_rms = network.column("dgrad_log10_rms");
    const std::vector<double> log10_q = network.column("preact_log10_q");
    growth.push_back(2 * ln10 * (log10_rms[first - 1] - log10_rms[last - 1]) / (last - first));
    ln_q.push_back(ln10 * mean_of({log10_q.begin() + first - 1, log10_q.begin() + last}).value);
  }

  expect_law(mean_of(growth), std::log(GetParam().chi1), finite_width_error(width));
  const double carried_on = 1 / (1 - theory::q_map_slope(phi, sigma_w, fixed.q));
  expect_law(mean_of(ln_q), std::log(fixed.q), finite_width_error(width) * carried_on);
}

// GELU and SiLU with He's sqrt(2): q halves per layer until phi is z/2, and the gradient with it.
class Collapse : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(LibraryGains, Collapse, testing::Values("gelu", "silu"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(Collapse, TakesTheSignalAndTheGradientToZeroByHalvesPerLayer) {
  const int width = 512, first = 30, last = 60;

  const std::vector<MeasuredPoint> networks = measure(fmt::format(R"(
    network = {{ activation = "{}", depth = 70, width = {} }}
    init = {{ sigma_w = {:.17g} }}
    data = {{ batch = 32 }}
    sweep = {{ seed = {{ range = [0, 8] }} }}
  )",
                                                                  GetParam(), width, std::numbers::sqrt2));

  std::vector<double> backward, forward;
  for (const MeasuredPoint& network : networks) {
    const std::vector<double> log10_rms = network.column("dgrad_log10_rms");
    const std::vector<double> log10_q = network.column("preact_log10_q");
    backward.push_back(2 * ln10 * (log10_rms[first - 1] - log10_rms[last - 1]) / (last - first));
    forward.push_back(ln10 * (log10_q[last - 1] - log10_q[first - 1]) / (last - first));
  }
  // phi is z/2 + O(z^2): what is left of the square at layer 30 is of order q, 2^-29.
  expect_law(mean_of(backward), std::log(0.5), finite_width_error(width));
  expect_law(mean_of(forward), std::log(0.5), finite_width_error(width));
}

// Two samples of ordered tanh: 1 - c shrinks by the slope of the correlation map at c* = 1, e per xi_c
// layers.
TEST(DepthScaleOfCorrelation, IsTheRateAtWhichTwoSamplesComeToLookAlike) {
  const int width = 512, first = 10, last = 40;
  const theory::Asymptotics deep =
      theory::asymptotics(nn::Activation::named("tanh"), std::sqrt(1.25), std::sqrt(0.05));

  const std::vector<MeasuredPoint> networks =
      measure(fmt::format(R"(
    network = {{ activation = "tanh", depth = {}, width = {} }}
    init = {{ sigma_w = {:.17g}, sigma_b = {:.17g} }}
    data = {{ batch = 16 }}
    run = {{ precision = "float64" }}
    sweep = {{ seed = {{ range = [0, 8] }} }}
  )",
                          last, width, std::sqrt(1.25), std::sqrt(0.05)));

  std::vector<double> rate;
  for (const MeasuredPoint& network : networks) {
    const std::vector<double> c = network.column("preact_corr");
    rate.push_back(std::log((1 - c[last - 1]) / (1 - c[first - 1])) / (last - first));
  }
  EXPECT_EQ(deep.c_star, 1);
  EXPECT_NEAR(-1 / deep.depth_scale.c, std::log(0.863240), 1e-6);  // chi1 to six digits
  expect_law(mean_of(rate), -1 / deep.depth_scale.c, finite_width_error(width));
}

// ReLU with a bias has a straight length map: E (q_l - q*) falls by e per xi_q layers from the first layer
// on, at every width.
TEST(DepthScaleOfVariance, IsTheRateAtWhichItComesToItsFixedPoint) {
  const int depth = 8;
  const double sigma_w = std::sqrt(1.6), sigma_b = std::sqrt(0.05), q_1 = 1.6 + 0.05, q_star = 0.25;
  const theory::Asymptotics deep = theory::asymptotics(nn::Activation::named("relu"), sigma_w, sigma_b);
  ASSERT_NEAR(deep.depth_scale.q, -1 / std::log(0.8), 1e-8);

  const std::vector<MeasuredPoint> networks = measure(fmt::format(R"(
    network = {{ activation = "relu", depth = {}, width = 64 }}
    init = {{ sigma_w = {:.17g}, sigma_b = {:.17g} }}
    data = {{ source = "orthogonal", batch = 4 }}
    sweep = {{ seed = {{ range = [0, 1024] }} }}
  )",
                                                                  depth, sigma_w, sigma_b));

  for (int layer = 1; layer <= depth; ++layer) {
    SCOPED_TRACE(fmt::format("layer {}", layer));
    std::vector<double> away;
    for (const MeasuredPoint& network : networks)
      away.push_back(std::pow(10, network.column("preact_log10_q")[std::size_t(layer - 1)]) - q_star);
    expect_law(mean_of(away), (q_1 - q_star) * std::exp(-(layer - 1) / deep.depth_scale.q));
  }
}

// Chaotic tanh: inputs that look alike come apart until their correlation is c* < 1.
TEST(FixedPointOfCorrelation, IsWhereTwoSamplesOfAChaoticNetworkEnd) {
  const int width = 256, first = 40, last = 60;
  const double sigma_w = std::sqrt(2.5), sigma_b = std::sqrt(0.05);
  const theory::Asymptotics deep = theory::asymptotics(nn::Activation::named("tanh"), sigma_w, sigma_b);

  const std::vector<MeasuredPoint> networks = measure(fmt::format(R"(
    network = {{ activation = "tanh", depth = {}, width = {} }}
    init = {{ sigma_w = {:.17g}, sigma_b = {:.17g} }}
    data = {{ source = {{ name = "correlated", c_0 = 0.9 }}, batch = 2 }}
    sweep = {{ seed = {{ range = [0, 32] }} }}
  )",
                                                                  last, width, sigma_w, sigma_b));

  std::vector<double> c;
  for (const MeasuredPoint& network : networks) {
    const std::vector<double> corr = network.column("preact_corr");
    c.push_back(mean_of({corr.begin() + first - 1, corr.begin() + last}).value);
  }
  EXPECT_LT(deep.c_star, 0.9);
  // One layer's error is carried on by the slope of the correlation map.
  const double carried_on = 1 / (1 - std::exp(-1 / deep.depth_scale.c));
  expect_law(mean_of(c), deep.c_star, finite_width_error(width) * carried_on);
}

TEST(TanhAtCriticality, HasThePublishedVariance) {
  const theory::FixedPoint fixed =
      theory::q_fixed_point(nn::Activation::named("tanh"), std::sqrt(1.760955), std::sqrt(0.05));

  EXPECT_NEAR(fixed.q, 0.570048, 5e-6);  // sigma_w^2 is given to 5e-7 and q* rises five times as fast
}

// tanh (1, 0): 2 l q_l = 1.0241 at l = 100, and E (dE/dz_1)^2 falls as 0.707/L. Nothing pulls q back to its
// course here, and Gaussian weights would add noise of variance 2 l/(3 N) to ln q; orthogonal ones obey the
// same maps without that noise.
TEST(TanhAtTheEdge, VarianceFallsAsOneOverTwiceTheDepthAndGradientAsOneOverDepth) {
  const int width = 256, depth = 100;

  const std::vector<MeasuredPoint> networks = measure(fmt::format(R"(
    network = {{ activation = "tanh", depth = {}, width = {} }}
    init = {{ scheme = "orthogonal", sigma_w = 1.0, sigma_b = 0.0 }}
    data = {{ batch = 32 }}
    sweep = {{ seed = {{ range = [0, 6] }} }}
  )",
                                                                  depth, width));

  std::vector<double> q, squared_gradient;
  for (const MeasuredPoint& network : networks) {
    q.push_back(2 * depth * std::pow(10, network.column("preact_log10_q").back()));
    squared_gradient.push_back(std::pow(10, 2 * network.column("dgrad_log10_rms").front()));
  }
  const double predicted = std::pow(10, 2 * networks.front().column("theory_dgrad_log10_rms").front());
  expect_law(mean_of(q), 1.0241, finite_width_error(width));
  expect_law(mean_of(squared_gradient), predicted, finite_width_error(width) * predicted);
  EXPECT_NEAR(predicted * depth, 0.707,
              0.707 * 2 / depth);  // the asymptote, and the terms of order 1/L it leaves out
}

struct Network {
  const char* name;
  const char* activation;
  const char* init;
  const char* shape;
  int narrowest;

  friend std::ostream& operator<<(std::ostream& out, const Network& x) { return out << x.name; }
};

class Prediction : public testing::TestWithParam<Network> {};

/// What is compared, in natural logarithms of squares or as it is, and how many layers of error have added up
/// at layer l.
struct Compared {
  const char* measured;
  const char* theory;
  double unit;
  int (*layers_of_error)(int layer, int depth);
};

std::vector<double> at_layer(const std::vector<MeasuredPoint>& networks, const char* column, int layer) {
  std::vector<double> values;
  for (const MeasuredPoint& network : networks)
    values.push_back(network.column(column)[std::size_t(layer - 1)]);
  return values;
}

// The theory columns beside the measured ones, layer by layer from the data: q and the correlation of two
// samples add up an error of order 1/N per layer from the input on, the gradient one from the last layer
// down.
TEST_P(Prediction, StandsBesideTheMeasurementInEveryLayer) {
  const Network& network = GetParam();
  const auto from_input = [](int layer, int) { return layer; };
  const auto from_output = [](int layer, int depth) { return depth - layer; };

  const std::vector<MeasuredPoint> networks =
      measure(fmt::format(R"(
    network = {{ activation = "{}", {} }}
    init = {{ {} }}
    data = {{ batch = 16 }}
    sweep = {{ seed = {{ range = [0, 12] }} }}
  )",
                          network.activation, network.shape, network.init));

  const int depth = networks.front().network().depth();
  for (const Compared& compared :
       {Compared{"preact_log10_q", "theory_preact_log10_q", ln10, from_input},
        Compared{"preact_corr", "theory_preact_corr", 1, from_input},
        Compared{"dgrad_log10_rms", "theory_dgrad_log10_rms", 2 * ln10, from_output}}) {
    for (int layer = 1; layer <= depth; ++layer) {
      SCOPED_TRACE(fmt::format("{} at layer {}", compared.measured, layer));
      const Estimate measured = mean_of(at_layer(networks, compared.measured, layer));
      const double predicted = networks.front().column(compared.theory)[std::size_t(layer - 1)];
      const double open = compared.layers_of_error(layer, depth) * finite_width_error(network.narrowest);
      expect_law({measured.value * compared.unit, measured.standard_error * compared.unit},
                 predicted * compared.unit, open);
    }
  }
}

constexpr const char* gaussian = "sigma_w = 1.2, sigma_b = 0.3";
constexpr const char* orthogonal = R"(scheme = "orthogonal", sigma_w = 1.2, sigma_b = 0.3)";

Network gaussian_network(const char* activation) {
  return {activation, activation, gaussian, "depth = 12, width = 512", 512};
}
// Where q is attracted from one side and repelled on the other, and the gradient keeps its size.
Network half_stable_network(const char* name, const char* activation, const char* init) {
  return {name, activation, init, "depth = 12, width = 512", 512};
}
Network orthogonal_network(const char* activation) {
  return {activation, activation, orthogonal, "depth = 12, width = 256", 256};
}
Network uneven_network(const char* name, const char* init) {
  return {name, "tanh", init, "widths = [100, 200, 400, 200, 100]", 100};
}
constexpr auto name = [](const auto& instance) { return instance.param.name; };

INSTANTIATE_TEST_SUITE_P(Gaussian, Prediction,
                         testing::Values(gaussian_network("tanh"), gaussian_network("erf"),
                                         gaussian_network("sigmoid"), gaussian_network("sin"),
                                         gaussian_network("relu"), gaussian_network("gelu"),
                                         gaussian_network("silu"), gaussian_network("elu"),
                                         gaussian_network("selu"), gaussian_network("softplus")),
                         name);

INSTANTIATE_TEST_SUITE_P(
    HalfStable, Prediction,
    testing::Values(half_stable_network("gelu", "gelu", "sigma_w = 1.40821101, sigma_b = 0.41583938"),
                    half_stable_network("silu", "silu", "sigma_w = 1.40996624, sigma_b = 0.7450793")),
    name);

INSTANTIATE_TEST_SUITE_P(Orthogonal, Prediction,
                         testing::Values(orthogonal_network("tanh"), orthogonal_network("relu"),
                                         orthogonal_network("gelu")),
                         name);

INSTANTIATE_TEST_SUITE_P(
    UnequalWidths, Prediction,
    testing::Values(uneven_network("gaussian", gaussian), uneven_network("orthogonal", orthogonal),
                    uneven_network("glorot_normal", R"(scheme = "glorot_normal", sigma_b = 0.3)"),
                    uneven_network("pytorch_default", R"(scheme = "pytorch_default")")),
    name);

}  // namespace
}  // namespace gradflow::experiment
