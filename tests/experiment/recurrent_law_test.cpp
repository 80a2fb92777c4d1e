#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "estimate.hpp"
#include "gradflow/theory/finite_width.hpp"
#include "increments.hpp"

/// Depth is time: what tied weights change.
namespace gradflow::experiment {
namespace {

std::vector<double> displacements(const std::string& block, int depth, int width, int seeds) {
  std::vector<double> sums;
  for (const MeasuredPoint& network : measure(fmt::format(R"(
    network = {{ block = "{}", activation = "linear", depth = {}, width = {} }}
    data = {{ batch = 1 }}
    statistics = {{ preset = "lean" }}
    sweep = {{ seed = {{ range = [0, {}] }} }}
  )",
                                                          block, depth, width, seeds))) {
    sums.push_back(sum_of(backward_increments(network)));
  }
  return sums;
}

// A product of independent matrices is a random walk: variances add. Powers of one matrix grow by its own
// spectral radius at every step, so over seeds the variance of ln |dE/dh|^2 grows with the square of time.
TEST(TiedProducts, DoNotBehaveLikeUntiedOnes) {
  const int factors = 400, width = 16, seeds = 64;
  const theory::Increment law = theory::linear_increment(width, 1.0 / width);

  const std::vector<double> untied = displacements("dense", factors + 1, width, seeds);
  const std::vector<double> tied = displacements("rnn", factors + 1, width, seeds);

  const double variance = factors * law.variance;
  expect_law({mean_of(untied).value, std::sqrt(variance / seeds)}, factors * law.mean);
  // The standard error of a variance of normal numbers.
  const double error = variance * std::sqrt(2.0 / (seeds - 1));
  expect_law({variance_of(untied).value, error}, variance);
  EXPECT_GT(variance_of(tied).value, variance + 20 * error);
}

/// Growth of ln |dE/dh|^2 per step, over networks.
Estimate growth(const std::string& input) {
  const int steps = 60, first = 10;
  std::vector<double> rates;
  for (const MeasuredPoint& network : measure(fmt::format(R"(
    network = {{ block = "rnn", activation = "tanh", depth = {}, width = 128, input = "{}" }}
    init = {{ sigma_w = 2.0 }}
    data = {{ batch = 8 }}
    sweep = {{ seed = {{ range = [0, 12] }} }}
  )",
                                                          steps, input))) {
    const std::vector<double> log10_norm = network.column("dgrad_log10_norm_mean");
    rates.push_back((log10_norm[first] - log10_norm.back()) / (steps - 1 - first));
  }
  return mean_of(rates);
}

// Pascanu, Mikolov & Bengio 2013: a largest singular value below 1 is enough for vanishing
// (nn.recurrent_law); the spectral radius does not decide. The same recurrent matrices, of radius 2: the
// network left to itself explodes, inputs that saturate it make its gradients vanish.
TEST(SpectralRadius, DoesNotDecide) {
  const Estimate left_alone = growth("zero"), driven = growth("gaussian");

  EXPECT_GT(left_alone.value, 4 * left_alone.standard_error);
  EXPECT_LT(driven.value, -4 * driven.standard_error);
}

}  // namespace
}  // namespace gradflow::experiment
