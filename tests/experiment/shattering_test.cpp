#include <cmath>
#include <numbers>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "estimate.hpp"
#include "measured.hpp"

namespace gradflow::experiment {
namespace {

constexpr int width = 512, depth = 24;

std::vector<MeasuredPoint> he_relu_networks(bool shared_cotangent) {
  return measure(fmt::format(R"(
    network = {{ activation = "relu", depth = {}, width = {} }}
    init = {{ scheme = "he_normal" }}
    data = {{ batch = 16 }}
    backward = {{ source = "random", shared = {} }}
    sweep = {{ seed = {{ range = [0, 16] }} }}
  )",
                             depth, width, shared_cotangent));
}

Estimate at_layer(const std::vector<MeasuredPoint>& networks, const char* column, int layer) {
  std::vector<double> values;
  for (const MeasuredPoint& network : networks)
    values.push_back(network.column(column)[std::size_t(layer - 1)]);
  return mean_of(values);
}

/// The correlation of z_l of two samples, from 0 at layer 1: 0, 0.318310, 0.493731, 0.604826, ... (Cho & Saul
/// 2009).
std::vector<double> relu_correlations() {
  std::vector<double> c{0};
  while (c.size() < std::size_t(depth)) {
    const double x = c.back();
    c.push_back((std::sqrt(1 - x * x) + (std::numbers::pi - std::acos(x)) * x) / std::numbers::pi);
  }
  return c;
}

TEST(Shattering, CorrelationOfHeReluSignalsFollowsTheArcCosineKernel) {
  const std::vector<double> law = relu_correlations();

  const std::vector<MeasuredPoint> networks = he_relu_networks(false);

  EXPECT_NEAR(law[3], 0.604826, 5e-7);
  for (int layer = 1; layer <= depth; ++layer) {
    SCOPED_TRACE(fmt::format("layer {}", layer));
    expect_law(at_layer(networks, "preact_corr", layer), law[std::size_t(layer - 1)],
               finite_width_error(width));
  }
}

// Balduzzi et al. 2017: with one cotangent for all samples, prod over j = l..L-1 of (1 - arccos(c_j)/pi):
// both gates open, given that one is.
TEST(Shattering, GradientsOfASharedCotangentLoseTheirCorrelationWhereGatesDiffer) {
  const std::vector<double> c = relu_correlations();

  const std::vector<MeasuredPoint> networks = he_relu_networks(true);

  double law = 1;
  for (int layer = depth; layer >= 1; --layer) {
    SCOPED_TRACE(fmt::format("layer {}", layer));
    if (layer < depth) law *= 1 - std::acos(c[std::size_t(layer - 1)]) / std::numbers::pi;
    expect_law(at_layer(networks, "dgrad_corr", layer), law, (depth - layer) * finite_width_error(width));
    // The file holds the law beside it; 23 factors are rounded, and c near 1 is known to 1e-15 only.
    EXPECT_NEAR(at_layer(networks, "theory_dgrad_corr", layer).value, law, 1e-9);
  }
  EXPECT_LT(at_layer(networks, "dgrad_corr", 1).value, 0.1);
}

TEST(Shattering, GradientsOfIndependentCotangentsAreUncorrelatedInEveryLayer) {
  const std::vector<MeasuredPoint> networks = he_relu_networks(false);

  for (int layer = 1; layer <= depth; ++layer) {
    SCOPED_TRACE(fmt::format("layer {}", layer));
    expect_law(at_layer(networks, "dgrad_corr", layer), 0);
  }
}

struct Share {
  const char* activation;
  double common;  ///< (E phi)^2 / E phi^2 under N(0, 1)

  friend std::ostream& operator<<(std::ostream& out, const Share& x) { return out << x.activation; }
};

class BiasShift : public testing::TestWithParam<Share> {};
INSTANTIATE_TEST_SUITE_P(Activations, BiasShift,
                         testing::Values(Share{"relu", 1 / std::numbers::pi}, Share{"elu", 0.039952},
                                         Share{"selu", 0}, Share{"tanh", 0}),
                         [](const auto& instance) { return std::string(instance.param.activation); });

// Clevert et al. 2016: unrelated inputs of variance 1 have z_1 ~ N(0, 1); what their z_2 have in common comes
// from the mean of phi alone.
TEST_P(BiasShift, IsTheCorrelationOfUnrelatedInputsAfterOneActivation) {
  const std::vector<MeasuredPoint> networks = measure(fmt::format(R"(
    network = {{ activation = "{}", depth = 2, width = {} }}
    data = {{ batch = 16 }}
    sweep = {{ seed = {{ range = [0, 16] }} }}
  )",
                                                                  GetParam().activation, width));

  expect_law(at_layer(networks, "preact_corr", 2), GetParam().common, finite_width_error(width));
}

}  // namespace
}  // namespace gradflow::experiment
