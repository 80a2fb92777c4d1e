#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "estimate.hpp"
#include "gradflow/nn/network.hpp"
#include "measured.hpp"

/// Gradients in time beside theory's column (SCIENCE 6).
namespace gradflow::experiment {
namespace {

constexpr const char* at_the_zero_state = R"(
  network = {{ {}, depth = {}, width = {} }}
  init = {{ scheme = "{}", sigma_w = {} }}
  data = {{ source = "zero", batch = {} }}
  run.precision = "float64"
  sweep = {{ seed = {{ range = [0, {}] }} }}
)";

/// log10 of the size of the gradient at a layer over that at the last one.
double relative_to_last(const MeasuredPoint& point, int layer) {
  const std::vector<double> rms = point.column("dgrad_log10_rms");
  return rms[std::size_t(layer - 1)] - rms.back();
}

/// A network whose recurrent matrix is sigma_w I or sigma_w Q at every step, so that its law is no average.
struct Exact {
  std::string block;
  std::string scheme;
  double sigma_w;
};

void PrintTo(const Exact& exact, std::ostream* out) { *out << exact.block << " " << exact.scheme; }

class ExactLawInTime : public testing::TestWithParam<Exact> {};

TEST_P(ExactLawInTime, IsWhatIsMeasured) {
  constexpr int depth = 40, width = 12;
  const Exact& exact = GetParam();

  const MeasuredPoint point = measure_one(
      fmt::format(at_the_zero_state, exact.block, depth, width, exact.scheme, exact.sigma_w, 5, 1));

  const std::vector<double> theory = point.column("theory_dgrad_log10_rms");
  for (int layer = 1; layer <= depth; ++layer) {
    EXPECT_NEAR(relative_to_last(point, layer), theory[std::size_t(layer - 1)], 1e-12 * depth) << layer;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Blocks, ExactLawInTime,
    testing::Values(Exact{R"(block = "rnn", activation = "tanh")", "identity", 1.1},
                    Exact{R"(block = "rnn", activation = "linear")", "orthogonal", 0.9},
                    Exact{R"(block = "leaky_rnn", leak = 0.2, activation = "tanh")", "identity", 0.7},
                    Exact{R"(block = "gru", activation = "tanh")", "identity", 1.3},
                    Exact{R"(block = "lstm", activation = "tanh", forget_bias = 2)", "identity", 1.2},
                    Exact{R"(block = "lstm", activation = "tanh", forget_gate = false)", "identity", 0.8}));

/// (f I + i o W)^n averages over W: powers of W are orthogonal to each other up to 5/N per step.
TEST(LstmAtItsZeroState, LosesItsGradientAsTheGatesAndTheMatrixSay) {
  constexpr int depth = 8, width = 256, seeds = 24;

  const std::vector<MeasuredPoint> networks = measure(fmt::format(
      at_the_zero_state, R"(block = "lstm", activation = "tanh")", depth, width, "gaussian", 1.3, 32, seeds));

  const std::vector<double> theory = networks.front().column("theory_dgrad_log10_rms");
  for (int layer = 1; layer < depth; ++layer) {
    std::vector<double> squared;
    for (const MeasuredPoint& network : networks) {
      const double excess = relative_to_last(network, layer) - theory[std::size_t(layer - 1)];
      squared.push_back(std::exp(2 * std::numbers::ln10 * excess));
    }
    SCOPED_TRACE(layer);
    expect_law(mean_of(squared), 1, (depth - layer) * 5.0 / width);
  }
  const double forget = 1 / (1 + std::exp(-1.0)), feedback = 0.25;
  const double radius = forget + feedback * 1.3;
  EXPECT_NEAR(networks.front().column("theory_chi1").front(), radius * radius, 1e-12);
}

/// A linear rnn has the same gradient whatever comes in.
TEST(LinearRnn, HasItsLawAtAnyInput) {
  constexpr int depth = 30;

  const MeasuredPoint point = measure_one(R"(
    network = { block = "rnn", activation = "linear", depth = 30, width = 10, input = "gaussian" }
    init = { scheme = "orthogonal", sigma_w = 0.8, sigma_b = 0.3 }
    run.precision = "float64"
  )");

  EXPECT_NEAR(point.column("theory_dgrad_log10_rms").front(), (depth - 1) * std::log10(0.8), 1e-12);
  EXPECT_NEAR(relative_to_last(point, 1), (depth - 1) * std::log10(0.8), 1e-12);
}

TEST(RecurrentTheory, IsSilentWhereItKnowsNoLaw) {
  const std::vector<MeasuredPoint> points = measure(R"(
    network = { depth = 4, width = 8 }
    data.batch = 2
    [[zip]]
    network.block      = ["rnn",      "lstm",     "gru",  "rnn",  "rnn"]
    network.activation = ["tanh",     "tanh",     "tanh", "relu", "tanh"]
    network.stack      = [1,          1,          2,      1,      1]
    network.input      = ["zero",     "gaussian", "zero", "zero", "zero"]
    data.source        = ["gaussian", "zero",     "zero", "zero", "zero"]
    init.sigma_b       = [0,          0,          0,      0,      0.1]
  )");

  for (const MeasuredPoint& point : points) {
    for (const double value : point.column("theory_dgrad_log10_rms")) EXPECT_TRUE(std::isnan(value));
  }
}

/// Far from the end of time powers of a Gaussian matrix are no longer orthogonal: there theory says nothing.
TEST(RecurrentTheory, EndsWhereTheWidthIsTooSmallForIt) {
  const MeasuredPoint point = measure_one(
      fmt::format(at_the_zero_state, R"(block = "rnn", activation = "tanh")", 12, 64, "gaussian", 1.0, 2, 1));

  const std::vector<double> theory = point.column("theory_dgrad_log10_rms");
  EXPECT_NEAR(theory[std::size_t(12 - 4 - 1)], 0, 1e-12);  // 4 steps before the last, the cube root of 64
  EXPECT_TRUE(std::isnan(theory[std::size_t(12 - 5 - 1)]));
}

}  // namespace
}  // namespace gradflow::experiment
