#include <cmath>
#include <numbers>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "estimate.hpp"
#include "measured.hpp"

/// Streams of residual networks and their gradients grow as their recursions say.
namespace gradflow::experiment {
namespace {

constexpr int width = 128;

struct Block {
  const char* name;
  const char* network;  ///< block and options, in the sweep file
  double sigma_w;
  double per_block;  ///< factor of E |x|^2 and of E |dE/dx|^2

  friend std::ostream& operator<<(std::ostream& out, const Block& x) { return out << x.name; }
};

class Growth : public testing::TestWithParam<Block> {};

constexpr int depth = 10;
const double fourth_root_of_two = std::pow(2, 0.25);

// residual: 1 + a^2 sigma_w1^2 sigma_w2^2 / 2, so 1 + a^2 at sigma_w = 2^(1/4); a = 1/sqrt(L): e in all.
// preact_residual: 1 + a^2 sigma_w^2 / 2. 0: exactly 1.
INSTANTIATE_TEST_SUITE_P(
    Blocks, Growth,
    testing::Values(
        Block{"residual", R"(block = "residual")", fourth_root_of_two, 2},
        Block{"residual_he", R"(block = "residual", branch_scale = 0.5)", std::numbers::sqrt2, 1.5},
        Block{"residual_scaled", "block = \"residual\", branch_scale = \"1/sqrt(depth)\"", fourth_root_of_two,
              1 + 1.0 / depth},
        Block{"preact", R"(block = "preact_residual")", 1.1, 1 + 1.21 / 2},
        Block{"preact_scaled", R"(block = "preact_residual", branch_scale = 0.6)", 1, 1 + 0.36 / 2}),
    [](const auto& instance) { return instance.param.name; });

std::vector<MeasuredPoint> measured(const std::string& network, double sigma_w, int blocks, int units,
                                    int batch, int seeds) {
  return measure(fmt::format(R"(
    network = {{ {}, depth = {}, width = {} }}
    init = {{ sigma_w = {:.17g} }}
    data = {{ batch = {} }}
    sweep = {{ seed = {{ range = [0, {}] }} }}
  )",
                             network, blocks, units, sigma_w, batch, seeds));
}

/// Over networks, 10^(unit times the column's value at `layer` minus that at `reference`).
Estimate mean_ratio(const std::vector<MeasuredPoint>& networks, const char* column, double unit, int layer,
                    int reference) {
  std::vector<double> ratios;
  for (const MeasuredPoint& network : networks) {
    const std::vector<double> log10 = network.column(column);
    ratios.push_back(
        std::pow(10, unit * (log10[std::size_t(layer - 1)] - log10[std::size_t(reference - 1)])));
  }
  return mean_of(ratios);
}

Estimate relative(Estimate x, double law) { return {x.value / law, x.standard_error / law}; }

// Forward the mean of the squared norm grows so at any width; backward a relu's gate depends on the very
// stream that its gradient joins, which is gone in wide layers: 5/N per block.
TEST_P(Growth, OfReluStreamsIsOnePlusBetaPerBlock) {
  const std::vector<MeasuredPoint> networks =
      measured(fmt::format(R"(activation = "relu", {})", GetParam().network), GetParam().sigma_w, depth,
               width, 1, 400);

  const double law = std::pow(GetParam().per_block, depth - 1);
  expect_law(relative(mean_ratio(networks, "act_log10_q", 1, depth, 1), law), 1);
  expect_law(relative(mean_ratio(networks, "dgrad_log10_rms", 2, 1, depth), law), 1,
             (depth - 1) * finite_width_error(width));
}

class NoBranch : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Blocks, NoBranch, testing::Values("residual", "preact_residual", "postact_residual"),
                         [](const auto& instance) { return std::string(instance.param); });

// ReZero and SkipInit: nothing but the skip, to the last bit.
TEST_P(NoBranch, LeavesEverySignalAndEveryGradientAsItIs) {
  const MeasuredPoint network =
      measured(fmt::format(R"(activation = "tanh", block = "{}", branch_scale = 0.0)", GetParam()), 1.5, 50,
               40, 8, 1)[0];

  for (const char* name : {"act_log10_q", "act_corr", "dgrad_log10_norm_mean", "dgrad_log10_norm_std",
                           "dgrad_log10_rms", "dgrad_corr", "dgrad_log10_absmax"}) {
    const std::vector<double> column = network.column(name);
    for (double value : column) EXPECT_EQ(value, column.back()) << name;
  }
}

// x + relu(W x) with He weights: the branch has a mean, which adds up along the stream. 2 per block only in
// the first.
TEST(PostactResidual, DriftsAwayFromTwoPerBlock) {
  const double published[] = {2.000, 4.900, 13.203, 37.111};

  const std::vector<MeasuredPoint> networks =
      measured(R"(activation = "relu", block = "postact_residual")", std::numbers::sqrt2, 4, 512, 8, 24);

  for (int block = 1; block <= 4; ++block) {
    std::vector<double> q;
    for (const MeasuredPoint& network : networks)
      q.push_back(std::pow(10, network.column("act_log10_q")[std::size_t(block - 1)]));
    expect_law(relative(mean_of(q), published[block - 1]), 1, block * finite_width_error(512));
    EXPECT_NEAR(std::pow(10, networks[0].column("theory_act_log10_q")[std::size_t(block - 1)]),
                published[block - 1], 5e-4);
  }
}

// Backward 2 per block in wide layers, but Euler's x_l . dE/dx_l is the same number in every block, so the
// gradient along the stream grows as the stream does, 2.9 per block: one direction of N, and soon all of it.
// The theory beside the measurement ends before.
TEST(PostactResidual, HasAGradientThatGrowsAsTheStreamInTheEnd) {
  const int blocks = 60, units = 128;
  const std::vector<MeasuredPoint> networks = measured(R"(activation = "relu", block = "postact_residual")",
                                                       std::numbers::sqrt2, blocks, units, 8, 24);

  const std::vector<double> theory = networks.front().column("theory_dgrad_log10_rms");
  std::vector<double> excess;
  for (const MeasuredPoint& network : networks) {
    const std::vector<double> q = network.column("act_log10_q"), dgrad = network.column("dgrad_log10_rms");
    const double along_stream = q.back() - q.front() - std::log10(units);
    excess.push_back(2 * (dgrad.front() - dgrad.back()) - along_stream);
  }
  // The mean square of 8 normal numbers, and what lies across the stream: a factor of 4 either way, where
  // wide layers are wrong by 10^7.
  EXPECT_NEAR(mean_of(excess).value, 0, std::log10(4));

  int known = 0;
  for (int block = 1; block <= blocks; ++block) {
    const auto i = std::size_t(block - 1);
    if (std::isnan(theory[i])) continue;
    ++known;
    const double law = std::pow(10, 2 * theory[i]);
    EXPECT_NEAR(law, std::pow(2, blocks - block), 1e-9 * law);
    // A twentieth, and its own growth by the angle between the stream and what grows most.
    expect_law(relative(mean_ratio(networks, "dgrad_log10_rms", 2, block, blocks), law), 1,
               0.1 + (blocks - block) * finite_width_error(units));
  }
  EXPECT_GE(known, 4);
  EXPECT_LE(known, 10);
}

// beta = sigma_w^4/2 of relu: q_l = q_0 + beta l, and the squared gradient of x_1 is (q_0 + beta L) / (q_0 +
// beta) of that of x_L.
TEST(PreNorm, GrowsLinearlyAndItsGradientLikeARatio) {
  const int blocks = 40;
  const double sigma_w = 1.2, beta = std::pow(sigma_w, 4) / 2;

  const std::vector<MeasuredPoint> networks = measured(
      R"(activation = "relu", block = "residual", normalization = { name = "rms", epsilon = 0.0, position = "pre" })",
      sigma_w, blocks, 256, 8, 16);

  for (int block : {1, 10, 40}) {
    std::vector<double> q;
    for (const MeasuredPoint& network : networks)
      q.push_back(std::pow(10, network.column("act_log10_q")[std::size_t(block - 1)]));
    // Errors of all blocks are averaged into one sum, so its relative error is that of one.
    expect_law(relative(mean_of(q), 1 + beta * block), 1, finite_width_error(256));
  }
  const double law = (1 + beta * blocks) / (1 + beta);
  // ln q of the ratio: each block adds beta/(1 + beta l) of its own relative error.
  expect_law(relative(mean_ratio(networks, "dgrad_log10_rms", 2, 1, blocks), law), 1,
             std::log(law) * finite_width_error(256));
}

// x + W tanh(x), sigma_w = 1: layer by layer the recursion, which the file holds.
TEST(PreactResidual, OfTanhGrowsAsTheRecursionSays) {
  const int blocks = 50;

  const std::vector<MeasuredPoint> networks =
      measured(R"(activation = "tanh", block = "preact_residual")", 1, blocks, 256, 8, 16);

  const double law = std::pow(10, 2 * networks.front().column("theory_dgrad_log10_rms").front());
  expect_law(relative(mean_ratio(networks, "dgrad_log10_rms", 2, 1, blocks), law), 1,
             std::log(law) * finite_width_error(256));
  // From x_0 on, exp(1.064 sqrt(L)) is its asymptote: 4 % more in the exponent at L = 50.
  const double from_input = std::log(law) + std::log(1 + 0.464403);  // E tanh'^2 under N(0, 1)
  EXPECT_NEAR(from_input / (1.064 * std::sqrt(50)), 0.96, 0.005);
}

// Gates that are drawn as the branch is: the recursion beside the measurement.
TEST(Highway, GrowsAsTheRecursionSays) {
  const int blocks = 12, units = 256;

  const std::vector<MeasuredPoint> networks =
      measured(R"(activation = "tanh", block = "highway", transform_bias = -0.5)", 1.8, blocks, units, 8, 24);

  const std::vector<double> q = networks.front().column("theory_act_log10_q"),
                            dgrad = networks.front().column("theory_dgrad_log10_rms");
  for (int block = 2; block < blocks; ++block) {
    SCOPED_TRACE(fmt::format("block {}", block));
    const auto i = std::size_t(block - 1);
    const double signal = std::pow(10, q[i] - q[0]), gradient = std::pow(10, 2 * (dgrad[i] - dgrad.back()));
    expect_law(relative(mean_ratio(networks, "act_log10_q", 1, block, 1), signal), 1,
               (block - 1) * finite_width_error(units));
    expect_law(relative(mean_ratio(networks, "dgrad_log10_rms", 2, block, blocks), gradient), 1,
               (blocks - block) * finite_width_error(units));
  }
}

// With zero weights a highway's gate is open by sigmoid(b) for every unit: what passes it by is left.
TEST(Highway, CarriesSigmoidOfMinusTheBiasPerBlock) {
  for (double bias : {-3.0, -1.0, 0.5}) {
    const MeasuredPoint network =
        measured(fmt::format(R"(activation = "tanh", block = "highway", transform_bias = {})", bias), 0, 30,
                 20, 4, 1)[0];

    const double carried = -std::log10(1 + std::exp(bias));
    const std::vector<double> backward = network.column("dgrad_log10_norm_mean"),
                              forward = network.column("act_log10_q");
    for (int block = 1; block <= 30; ++block) {
      const auto i = std::size_t(block - 1);
      // A sigmoid of float32 and a product: two roundings a block.
      EXPECT_NEAR(backward[i], backward.back() + (30 - block) * carried, 30 * 2e-7) << block;
      EXPECT_NEAR(forward[i], forward.front() + 2 * (block - 1) * carried, 60 * 2e-7) << block;
    }
  }
}

}  // namespace
}  // namespace gradflow::experiment
