#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "measured.hpp"
#include "nn/recording.hpp"

namespace gradflow::experiment {
namespace {

struct Shape {
  const char* name;
  const char* network;
  double rounding;  ///< of log10 norms

  friend std::ostream& operator<<(std::ostream& out, const Shape& x) { return out << x.name; }
};

/// Norms are taken in float64. Through Gram matrices nothing else is rounded; a gradient formed in float32
/// rounds each of its elements once or twice.
constexpr double of_float64 = 1e-13, of_float32 = 1e-7;

class OneSample : public testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(
    Shapes, OneSample,
    testing::Values(Shape{"gram", R"(activation = "tanh", depth = 20, width = 50)", of_float64},
                    Shape{"formed", R"(activation = "tanh", widths = [3, 2, 2, 1, 2, 1])", of_float32},
                    Shape{"vanishing", R"(activation = "sigmoid", depth = 1000, width = 20)", of_float64}),
    [](const auto& instance) { return instance.param.name; });

// dE/dW_l = delta_l h_{l-1}' and dE/db_l = delta_l: |dE/dW_l|_F = |delta_l| |h_{l-1}|, |dE/db_l| = |delta_l|.
TEST_P(OneSample, WeightGradientIsAnOuterProduct) {
  const MeasuredPoint network = measure_one(fmt::format(R"(
    network = {{ {} }}
    init = {{ sigma_w = 1.3, sigma_b = 0.2 }}
    data = {{ batch = 1 }}
  )",
                                                        GetParam().network));

  const std::vector<double> log10_q = network.column("act_log10_q"),
                            delta = network.column("dgrad_log10_norm_mean");
  const std::vector<double> dW = network.column("wgrad_log10_norm"), db = network.column("bgrad_log10_norm");
  for (std::size_t i = 1; i < delta.size(); ++i) {  // h_0 is not stored
    const double log10_h = (log10_q[i - 1] + std::log10(network.network().widths.fan_in(int(i) + 1))) / 2;
    EXPECT_NEAR(dW[i], delta[i] + log10_h, GetParam().rounding * std::max(1.0, std::abs(delta[i])))
        << "layer " << i + 1;
    EXPECT_NEAR(db[i], delta[i], of_float64 * std::max(1.0, std::abs(delta[i]))) << "layer " << i + 1;
  }
}

struct Sum {
  double value = 0;
  double of_magnitudes = 0;
};

/// <W, dE/dW> of a layer, from its weights and the outer products of what entered it and the gradient of what
/// left it.
Sum weights_times_gradient(const nn::NetworkSpec& network, int layer, const nn::Samples& h,
                           const nn::Samples& dz) {
  const int fan_in = network.widths.fan_in(layer), fan_out = network.widths.fan_out(layer);
  const auto z = nn::unit_weights<double>(*network.init.scheme, network.seed, layer, fan_in, fan_out);
  const double scale = network.init.weight_scale(fan_in, fan_out);
  Sum sum;
  for (std::size_t s = 0; s < h.size(); ++s) {
    for (int i = 0; i < fan_out; ++i) {
      for (int j = 0; j < fan_in; ++j) {
        const double term = scale * z(i, j) * dz[s][std::size_t(i)] * h[s][std::size_t(j)];
        sum.value += term;
        sum.of_magnitudes += std::abs(term);
      }
    }
  }
  return sum;
}

class Homogeneous : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Activations, Homogeneous, testing::Values("linear", "relu", "leaky_relu"),
                         [](const auto& instance) { return std::string(instance.param); });

// Euler: without biases the output is homogeneous of degree 1 in each W_l, so <W_l, dE/dW_l> is the same
// number in every layer.
TEST_P(Homogeneous, WeightsTimesTheirGradientIsTheSameInEveryLayer) {
  nn::NetworkSpec network;
  network.widths = nn::Widths::listed({20, 40, 30, 50, 40, 10});
  network.activation = nn::Activation::named(GetParam());
  network.init = nn::Initialisation::make("he_normal");
  network.batch = 5;

  const nn::Recording recording = nn::record<double>({network});

  std::vector<Sum> sums;
  for (int layer = 1; layer <= network.depth(); ++layer) {
    const nn::Samples& h = layer == 1 ? recording.input[0] : recording.layer(layer - 1).act[0];
    sums.push_back(weights_times_gradient(network, layer, h, recording.layer(layer).dgrad[0]));
  }

  // Every factor has come through at most five products of up to 50 terms in float64: 1e-14 of a term.
  for (const Sum& sum : sums) EXPECT_NEAR(sum.value, sums.front().value, 1e-14 * sum.of_magnitudes);
  EXPECT_GT(std::abs(sums.front().value), 1e-3 * sums.front().of_magnitudes);
}

/// [fan_out][fan_in] in true values, one row after the other.
using Flat = std::vector<double>;

Flat weights_of(const nn::NetworkSpec& network, int layer) {
  const int fan_in = network.widths.fan_in(layer), fan_out = network.widths.fan_out(layer);
  const auto z = nn::unit_weights<double>(*network.init.scheme, network.seed, layer, fan_in, fan_out);
  const double scale = network.init.weight_scale(fan_in, fan_out);
  Flat w;
  for (int i = 0; i < fan_out; ++i) {
    for (int j = 0; j < fan_in; ++j) w.push_back(scale * z(i, j));
  }
  return w;
}

/// dE/dW_l, E being the mean over samples.
Flat gradient_of(const nn::NetworkSpec& network, int layer, const nn::Recording& recording) {
  const nn::Samples& h = layer == 1 ? recording.input[0] : recording.layer(layer - 1).act[0];
  const nn::Samples& dz = recording.layer(layer).dgrad[0];
  const int fan_in = network.widths.fan_in(layer), fan_out = network.widths.fan_out(layer);
  Flat g;
  for (int i = 0; i < fan_out; ++i) {
    for (int j = 0; j < fan_in; ++j) {
      double sum = 0;
      for (std::size_t s = 0; s < h.size(); ++s) sum += dz[s][std::size_t(i)] * h[s][std::size_t(j)];
      g.push_back(sum / double(h.size()));
    }
  }
  return g;
}

double squared(const Flat& x) { return std::inner_product(x.begin(), x.end(), x.begin(), 0.0); }

// A step of gradient descent changes |W_l|^2 by -2 eta <W_l, g_l> + eta^2 |g_l|^2, and the first term is the
// same in every layer: |W_l|^2 - |W_{l+1}|^2 changes by eta^2 (|g_l|^2 - |g_{l+1}|^2) (Du, Hu & Lee 2018).
TEST_P(Homogeneous, GradientDescentKeepsTheBalanceOfLayersToSecondOrder) {
  const double eta = 0.5;
  nn::NetworkSpec network;
  network.widths = nn::Widths::listed({20, 40, 30, 50, 40, 10});
  network.activation = nn::Activation::named(GetParam());
  network.init = nn::Initialisation::make("he_normal");
  network.batch = 5;

  const nn::Recording recording = nn::record<double>({network});

  Flat change, second_order, weights;
  for (int layer = 1; layer <= network.depth(); ++layer) {
    const Flat w = weights_of(network, layer), g = gradient_of(network, layer, recording);
    Flat stepped = w;
    for (std::size_t k = 0; k < w.size(); ++k) stepped[k] -= eta * g[k];
    weights.push_back(squared(stepped) + squared(w));
    change.push_back(squared(stepped) - squared(w));
    second_order.push_back(eta * eta *
                           recording.layer(layer).gradients.front().weight_gradient_squared.value());
    EXPECT_NEAR(second_order.back(), eta * eta * squared(g), 1e-13 * second_order.back());
  }

  for (std::size_t l = 0; l + 1 < change.size(); ++l) {
    // Sums of up to 2000 squares in float64, and five products in every element of a gradient.
    EXPECT_NEAR(change[l] - change[l + 1], second_order[l] - second_order[l + 1],
                1e-13 * (weights[l] + weights[l + 1]));
    EXPECT_GT(std::abs(second_order[l] - second_order[l + 1]), 1e-6 * (weights[l] + weights[l + 1]));
  }
}

}  // namespace
}  // namespace gradflow::experiment
