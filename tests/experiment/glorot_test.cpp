#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "estimate.hpp"
#include "gradflow/theory/finite_width.hpp"
#include "measured.hpp"

namespace gradflow::experiment {
namespace {

constexpr int width = 128, depth = 40, seeds = 64;

/// Over the networks, ln of the squared ratio of a norm at layer l to that of layer L.
std::vector<double> relative_to_last(const std::vector<MeasuredPoint>& networks, const char* log10_norm,
                                     int layer) {
  std::vector<double> ratios;
  for (const MeasuredPoint& network : networks) {
    const std::vector<double> norm = network.column(log10_norm);
    ratios.push_back(2 * std::numbers::ln10 * (norm[std::size_t(layer - 1)] - norm.back()));
  }
  return ratios;
}

double mean_of_exp(const std::vector<double>& logarithms) {
  std::vector<double> x;
  for (double v : logarithms) x.push_back(std::exp(v));
  return mean_of(x).value;
}

class Glorot : public testing::TestWithParam<double> {};
INSTANTIATE_TEST_SUITE_P(WeightVarianceTimesWidth, Glorot, testing::Values(1.0 / 3, 1.0, 2.0));

// Glorot & Bengio 2010: with Var W = c/N, Var dE/dz_l = c^(L-l) Var dE/dz_L, yet Var dE/dW_l does not depend
// on l: what the gradient has lost on its way down, the signal has still to lose on its way up.
TEST_P(Glorot, GradientOfPreactivationsFallsByCPerLayerAndThatOfWeightsNotAtAll) {
  const double c = GetParam();
  const theory::Increment law = theory::linear_increment(width, c / width);

  const std::vector<MeasuredPoint> networks = measure(fmt::format(R"(
    network = {{ activation = "linear", depth = {}, width = {} }}
    init = {{ sigma_w = {:.17g} }}
    data = {{ batch = 1 }}
    sweep = {{ seed = {{ range = [0, {}] }} }}
  )",
                                                                  depth, width, std::sqrt(c), seeds));

  for (int layer = 1; layer < depth; ++layer) {
    SCOPED_TRACE(fmt::format("layer {}", layer));
    const int factors = depth - layer;
    const std::vector<double> dz = relative_to_last(networks, "dgrad_log10_norm_mean", layer);
    const std::vector<double> dW = relative_to_last(networks, "wgrad_log10_norm", layer);
    const double second_moment =
        theory::squared_norm_second_moment(1, std::vector<int>(std::size_t(factors), width));

    expect_law({mean_of_exp(dz) / std::pow(c, factors), std::sqrt((second_moment - 1) / seeds)}, 1);
    expect_law({mean_of(dz).value, std::sqrt(factors * law.variance / seeds)}, factors * law.mean);
    expect_law(mean_of(dW), 0);
  }
}

}  // namespace
}  // namespace gradflow::experiment
