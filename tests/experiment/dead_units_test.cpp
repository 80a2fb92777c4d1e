#include "gradflow/theory/dead_units.hpp"

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "estimate.hpp"
#include "measured.hpp"

/// Dead unit, dead network, zero: three different things.
namespace gradflow::experiment {
namespace {

std::vector<MeasuredPoint> he_relu(const std::string& shape, int batch, int seeds) {
  return measure(fmt::format(R"(
    network = {{ activation = "relu", {} }}
    init = {{ scheme = "he_normal" }}
    data = {{ batch = {} }}
    sweep = {{ seed = {{ range = [0, {}] }} }}
  )",
                             shape, batch, seeds));
}

struct Shape {
  const char* name;
  const char* network;
  std::vector<int> hidden;

  friend std::ostream& operator<<(std::ostream& out, const Shape& x) { return out << x.name; }
};

class DeadNetworks : public testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(Shapes, DeadNetworks,
                         testing::Values(Shape{"narrow", "depth = 9, width = 4", std::vector<int>(8, 4)},
                                         Shape{"uneven", "widths = [5, 3, 6, 2, 4, 5]", {3, 6, 2, 4}}),
                         [](const auto& instance) { return instance.param.name; });

// One input, no biases: 1 - prod (1 - 2^-N_l) over the hidden layers (Lu et al. 2020). A dead network's
// gradient is no number small beyond measure but none at all.
TEST_P(DeadNetworks, AreAsManyAsFairCoinsSay) {
  const int seeds = 4000;
  const double law = theory::dead_network_probability(GetParam().hidden);

  const std::vector<MeasuredPoint> networks = he_relu(GetParam().network, 1, seeds);

  int dead = 0;
  for (const MeasuredPoint& network : networks) {
    const bool no_gradient = std::isinf(network.column("dgrad_log10_norm_mean").front());
    const std::vector<double> signal = network.column("act_log10_q");
    EXPECT_EQ(no_gradient, std::isinf(signal[GetParam().hidden.size() - 1]));
    EXPECT_EQ(no_gradient, network.column("dgrad_dead_sample_fraction").front() == 1);
    EXPECT_NEAR(network.column("theory_dead_network_probability").front(), law, 1e-15);
    dead += no_gradient;
  }
  expect_law({double(dead) / seeds, std::sqrt(law * (1 - law) / seeds)}, law);
}

// Where the layer before lives, each gate is open with probability 1/2, however narrow the layer.
TEST(ActiveUnits, AreHalfInEveryLayerWhosePredecessorLives) {
  const int depth = 8, seeds = 4000, width = 3;

  const std::vector<MeasuredPoint> networks =
      he_relu(fmt::format("depth = {}, width = {}", depth, width), 1, seeds);

  for (std::size_t layer = 1; layer < depth; ++layer) {
    std::vector<double> active;
    for (const MeasuredPoint& network : networks) {
      if (std::isinf(network.column("act_log10_q")[layer - 1])) continue;
      active.push_back(1 - network.column("act_zero_fraction")[layer]);
    }
    ASSERT_GT(active.size(), 1000u);
    SCOPED_TRACE(fmt::format("layer {}", layer + 1));
    expect_law({mean_of(active).value, std::sqrt(0.25 / (width * double(active.size())))}, 0.5);
  }
}

// Two samples at the angle theta share their closed gates: a unit is zero for both with probability (1 -
// theta/pi)/2. theta follows the arc-cosine recursion to 0, so half of all units die in healthy networks.
TEST(DeadUnits, OfTwoSamplesFollowTheirAngleToOneHalf) {
  const int width = 256, depth = 100;

  const std::vector<MeasuredPoint> networks =
      he_relu(fmt::format("depth = {}, width = {}", depth, width), 2, 16);

  double c = 0;
  for (int layer = 1; layer <= depth; ++layer) {
    const double law = (1 - std::acos(c) / std::numbers::pi) / 2;
    std::vector<double> dead;
    for (const MeasuredPoint& network : networks)
      dead.push_back(network.column("act_dead_fraction")[std::size_t(layer - 1)]);
    SCOPED_TRACE(fmt::format("layer {}", layer));
    // A unit is a coin of its own; the angle of a network of this width is off by 5/N per layer, while it
    // lasts: the recursion forgets an error as fast as the angle shrinks.
    expect_law({mean_of(dead).value, std::sqrt(law * (1 - law) / (width * 16.0))}, law,
               std::min(layer, 5) * finite_width_error(width));
    c = (std::sqrt(1 - c * c) + (std::numbers::pi - std::acos(c)) * c) / std::numbers::pi;
  }
  EXPECT_NEAR((1 - std::acos(c) / std::numbers::pi) / 2, 0.5, 0.02);  // theta -> 3 pi / l
}

// theta is 3 pi / l between two samples. 16 of them lie within 15 such angles, so at most 45/l of the units
// tell them apart: nearly half are dead for the whole batch at l = 300.
TEST(DeadUnits, OfABatchAreHalfInDeepNetworks) {
  const std::vector<MeasuredPoint> networks = he_relu("depth = 300, width = 128", 16, 8);

  std::vector<double> dead;
  for (const MeasuredPoint& network : networks) dead.push_back(network.column("act_dead_fraction").back());
  const Estimate share = mean_of(dead);
  EXPECT_LE(share.value, 0.5 + 4 * share.standard_error);
  EXPECT_GE(share.value, (1 - 45.0 / 300) / 2 - 4 * share.standard_error);
}

}  // namespace
}  // namespace gradflow::experiment
