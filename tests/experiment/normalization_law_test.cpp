#include <cmath>
#include <numbers>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "estimate.hpp"
#include "gradflow/theory/normalization.hpp"
#include "measured.hpp"

/// Gradients of normalised networks grow at the rates of theory.
namespace gradflow::experiment {
namespace {

using std::numbers::ln10, std::numbers::pi;

struct Network {
  const char* name;
  const char* activation;
  const char* normalization;  ///< its value in the sweep file
  double sigma_w;
  double sigma_b;
  int batch;
  double rate;  ///< of E |dE/dz|^2 per layer

  friend std::ostream& operator<<(std::ostream& out, const Network& x) { return out << x.name; }
};

constexpr auto batch_norm = R"({ name = "batch", epsilon = 0.0 })";
constexpr auto layer_norm = R"({ name = "layer", epsilon = 0.0 })";
constexpr auto rms_norm = R"({ name = "rms", epsilon = 0.0 })";

/// [(B-1) + J'(r)] / [(B-3)(1 - J(r))] - 1/(B-3), r = -1/(B-1).
double relu_rate(double b) {
  const double r = -1 / (b - 1), slope = (pi - std::acos(r)) / pi;
  const double kernel = (std::sqrt(1 - r * r) + (pi - std::acos(r)) * r) / pi;
  return ((b - 1) + slope) / ((b - 3) * (1 - kernel)) - 1 / (b - 3);
}

double batch_rate(const char* activation, int batch) {
  return theory::batch_norm_rate(nn::Activation::named(activation), batch);
}

constexpr int width = 256, depth = 30;

class Normalised : public testing::TestWithParam<Network> {
 protected:
  std::vector<MeasuredPoint> measured(int seeds) const {
    const Network& n = GetParam();
    return measure(fmt::format(R"(
      network = {{ activation = "{}", normalization = {}, depth = {}, width = {} }}
      init = {{ sigma_w = {:.17g}, sigma_b = {:.17g} }}
      data = {{ batch = {} }}
      sweep = {{ seed = {{ range = [0, {}] }} }}
    )",
                               n.activation, n.normalization, depth, width, n.sigma_w, n.sigma_b, n.batch,
                               seeds));
  }
};

// Yang et al. 2019: batch norm explodes at a rate that sigma_w and sigma_b have no part in, 1.589950 of relu
// at B = 16. Layer norm: sigma_w^2 E phi'^2 / (sigma_w^2 E phi^2 + sigma_b^2).
INSTANTIATE_TEST_SUITE_P(
    Rates, Normalised,
    testing::Values(Network{"batch_relu", "relu", batch_norm, 1.3, 0, 16, 1.589950},
                    Network{"batch_relu_of_small_weights", "relu", batch_norm, 0.1, 0, 16, 1.589950},
                    Network{"batch_relu_with_biases", "relu", batch_norm, 2, 1, 16, 1.589950},
                    Network{"batch_relu_of_eight", "relu", batch_norm, 1.3, 0, 8, relu_rate(8)},
                    Network{"batch_relu_of_thirty_two", "relu", batch_norm, 1.3, 0, 32, relu_rate(32)},
                    Network{"batch_linear", "linear", batch_norm, 1.3, 0, 8, 6.0 / 5},
                    Network{"batch_tanh", "tanh", batch_norm, 1.3, 0, 16, batch_rate("tanh", 16)},
                    Network{"batch_gelu", "gelu", batch_norm, 0.7, 0, 16, batch_rate("gelu", 16)},
                    Network{"layer_relu", "relu", layer_norm, 1.3, 0, 16, 1},
                    Network{"layer_tanh", "tanh", layer_norm, 1.3, 0, 16, 1.177807},
                    Network{"layer_tanh_of_small_weights", "tanh", layer_norm, 0.2, 0, 16, 1.177807},
                    Network{"layer_tanh_with_biases", "tanh", layer_norm, 1.2, 0.5, 16,
                            1.44 * 0.464403 / (1.44 * 0.394294 + 0.25)},
                    Network{"rms_relu", "relu", rms_norm, 1.3, 0, 16, 1}),
    [](const auto& instance) { return instance.param.name; });

// Between layers 5 and 25: neither the data nor the injected cotangent is stationary.
TEST_P(Normalised, GradientGrowsAtItsRate) {
  const int first = 5, last = 25;

  const std::vector<MeasuredPoint> networks = measured(12);

  std::vector<double> growth;
  for (const MeasuredPoint& network : networks) {
    const std::vector<double> log10_rms = network.column("dgrad_log10_rms");
    growth.push_back(2 * ln10 * (log10_rms[first - 1] - log10_rms[last - 1]) / (last - first));
    EXPECT_NEAR(network.column("theory_chi1").front(), GetParam().rate, 2e-6);  // rates of six digits
  }
  expect_law(mean_of(growth), std::log(GetParam().rate), finite_width_error(width));
}

TEST(BatchNorm, OfReluAtSixteenIsThePublishedRate) {
  EXPECT_NEAR(relu_rate(16), 1.589950, 5e-7);
  EXPECT_NEAR(relu_rate(1e7), pi / (pi - 1), 1e-6);
}

// Weights of another size are other weights to a normalised layer only beyond its rounding.
TEST(BatchNorm, DoesNotSeeTheSizeOfItsWeights) {
  const std::vector<MeasuredPoint> networks = measure(fmt::format(R"(
    network = {{ activation = "tanh", normalization = {}, depth = 20, width = 64 }}
    run = {{ precision = "float64" }}
    sweep = {{ init = {{ sigma_w = [1.0, 2.0, 0.125, 3.0] }} }}
  )",
                                                                  batch_norm));

  const MeasuredPoint& reference = networks.front();
  for (const MeasuredPoint& network : networks) {
    const double factor = network.network().init.sigma_w;
    const bool is_power_of_two = factor != 3;
    for (const char* name : {"dgrad_log10_rms", "act_log10_q", "wgrad_log10_norm"}) {
      const std::vector<double> column = network.column(name), expected = reference.column(name);
      for (std::size_t i = 0; i < column.size(); ++i) {
        // Rounding errors grow like gradients, by 1.18 per layer or less, from 1e-15.
        EXPECT_NEAR(column[i], expected[i], is_power_of_two ? 1e-14 : 1e-10) << name << " layer " << i + 1;
      }
    }
  }
}

}  // namespace
}  // namespace gradflow::experiment
