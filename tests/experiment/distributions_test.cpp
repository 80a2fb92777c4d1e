#include <cmath>
#include <numbers>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "estimate.hpp"
#include "gradflow/stats/axes.hpp"
#include "measured.hpp"

/// What the statistics of the preset `full` say of real networks, where the answer is known.
namespace gradflow::experiment {
namespace {

constexpr double rounding_of_float32 = 1e-5;

double at(const MeasuredPoint& network, const char* column, int layer, int index = 0) {
  return network.column(column, index)[std::size_t(layer - 1)];
}

/// Along the further dimension, at one layer.
std::vector<double> along(const MeasuredPoint& network, const char* column, int layer, std::size_t extent) {
  std::vector<double> values;
  for (std::size_t i = 0; i < extent; ++i) values.push_back(at(network, column, layer, int(i)));
  return values;
}

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

struct BiasShift {
  std::string activation, scheme;
  double law;  ///< (E phi)^2 / E phi^2 under N(0, 1): SCIENCE 8
};

class BiasShiftOf : public testing::TestWithParam<BiasShift> {};
INSTANTIATE_TEST_SUITE_P(Activations, BiasShiftOf,
                         testing::Values(BiasShift{"relu", "he_normal", 1 / std::numbers::pi},
                                         BiasShift{"elu", "lecun_normal", 0.039952},
                                         BiasShift{"selu", "lecun_normal", 0},
                                         BiasShift{"tanh", "lecun_normal", 0}),
                         [](const auto& test) { return test.param.activation; });

TEST_P(BiasShiftOf, SharesOfTheSecondMomentAfterOneLayer) {
  constexpr int width = 512;
  const BiasShift& shift = GetParam();

  const std::vector<MeasuredPoint> networks = measure(fmt::format(R"(
    network = {{ activation = "{}", depth = 2, width = {} }}
    init = {{ scheme = "{}" }}
    data = {{ batch = 64 }}
    statistics = {{ preset = "lean", also = ["preact_common_share"] }}
    sweep = {{ seed = {{ range = [0, 16] }} }}
  )",
                                                                  shift.activation, width, shift.scheme));

  std::vector<double> input, next;
  for (const MeasuredPoint& network : networks) {
    input.push_back(at(network, "preact_common_share", 1));
    next.push_back(at(network, "preact_common_share", 2));
  }
  expect_law(mean_of(input), 0, finite_width_error(width));
  expect_law(mean_of(next), shift.law, finite_width_error(width));
}

std::string statistics_of(const std::string& network, const std::string& names) {
  return network + "statistics = { preset = \"lean\", also = [" + names + "] }\n";
}

TEST(RankOfActivations, IsThatOfTheInputWhereLayersAreRotations) {
  const std::string layers = R"(
    network = { activation = "linear", depth = 5, width = 64 }
    init = { scheme = "orthogonal" }
  )";
  const std::string ranks = "\"act_effective_rank\", \"act_stable_rank\"";
  const auto fed = [&](const std::string& data) { return measure_one(statistics_of(layers + data, ranks)); };

  const MeasuredPoint orthogonal = fed("data = { source = \"orthogonal\", batch = 40 }\n");
  const MeasuredPoint circle = fed("data = { source = \"circle\", batch = 100 }\n");

  for (int layer = 1; layer <= 5; ++layer) {
    EXPECT_NEAR(at(orthogonal, "act_effective_rank", layer), 40, 40 * rounding_of_float32);
    EXPECT_NEAR(at(orthogonal, "act_stable_rank", layer), 40, 40 * rounding_of_float32);
    // Singular values of float32 rounding, at most 64 of them, 1e-7 of the largest each, widen the circle's
    // plane.
    EXPECT_NEAR(at(circle, "act_effective_rank", layer), 2, 64 * 20 * 1e-7);
    EXPECT_NEAR(at(circle, "act_stable_rank", layer), 2, rounding_of_float32);
  }
}

TEST(RankOfActivations, FallsWhereInputsBecomeOne) {
  const MeasuredPoint ordered = measure_one(statistics_of(R"(
    network = { activation = "tanh", depth = 30, width = 100 }
    init = { sigma_w = 0.9, sigma_b = 0.3 }
    data = { batch = 32 }
  )",
                                                          "\"act_effective_rank\""));

  EXPECT_GT(at(ordered, "act_effective_rank", 1), 20);
  EXPECT_LT(at(ordered, "act_effective_rank", 30), 2);
}

TEST(DeadLayers, AreNoOrdinaryNumbers) {
  const MeasuredPoint dead = measure_one(R"(
    network = { activation = "relu", depth = 3, width = 20 }
    init = { sigma_w = 0 }
    data = { batch = 8 }
    statistics = { preset = "full" }
  )");

  EXPECT_EQ(at(dead, "act_log2_reference", 2), -INFINITY);
  EXPECT_EQ(sum_of(along(dead, "act_log2_histogram", 2, stats::octave_bins)), 0);
  EXPECT_TRUE(std::isnan(at(dead, "act_quantile_over_rms", 2, 3)));
  EXPECT_TRUE(std::isnan(at(dead, "act_effective_rank", 2)));
  EXPECT_TRUE(std::isnan(at(dead, "preact_common_share", 2)));
  EXPECT_TRUE(std::isnan(at(dead, "dgrad_lag_corr", 1)));
  EXPECT_TRUE(std::isnan(at(dead, "log10_signal_to_noise", 1)));
  EXPECT_EQ(at(dead, "dgrad_scaled_underflow_fraction", 1), 0);
}

TEST(OneSample, HasMagnitudesAndQuantilesButNothingOfPairs) {
  const MeasuredPoint one = measure_one(R"(
    network = { activation = "tanh", depth = 2, width = 50 }
    data = { batch = 1 }
    statistics = { preset = "full" }
  )");

  EXPECT_NEAR(sum_of(along(one, "act_log2_histogram", 2, stats::octave_bins)), 1, 1e-12);
  EXPECT_LT(at(one, "act_quantile_over_rms", 2, 0), at(one, "act_quantile_over_rms", 2, 6));
  EXPECT_NEAR(at(one, "act_effective_rank", 2), 1, 1e-12);
  EXPECT_TRUE(std::isnan(at(one, "preact_common_share", 2)));
  EXPECT_TRUE(std::isnan(at(one, "dgrad_lag_corr", 2)));
  EXPECT_TRUE(std::isnan(at(one, "log10_signal_to_noise", 2)));
}

// Magnitudes of 1e-6000 have their octave: SCIENCE 9.
TEST(DeepMagnitudes, LieAroundTheirRootMeanSquareInEveryLayer) {
  constexpr int depth = 10'000;
  const MeasuredPoint deep = measure_one(statistics_of(
      fmt::format(
          "network = {{ activation = \"sigmoid\", depth = {}, width = 16 }}\ndata = {{ batch = 4 }}\n",
          depth),
      R"("dgrad_log10_rms", "dgrad_log2_reference", "dgrad_log2_histogram", "dgrad_quantile_over_rms")"));

  const std::vector<double> reference = deep.column("dgrad_log2_reference");
  const std::vector<double> log10_rms = deep.column("dgrad_log10_rms");
  const std::vector<double> median = deep.column("dgrad_quantile_over_rms", 3);
  std::vector<double> nonzero(depth, 0);
  for (int bin = 0; bin < stats::octave_bins; ++bin) {
    const std::vector<double> share = deep.column("dgrad_log2_histogram", bin);
    for (std::size_t i = 0; i < depth; ++i) nonzero[i] += share[i];
  }
  EXPECT_LT(reference.front(), -20'000);
  for (std::size_t i = 0; i < depth; ++i) {
    SCOPED_TRACE(fmt::format("layer {}", i + 1));
    ASSERT_NEAR(reference[i] + 0.5, log10_rms[i] / std::log10(2.0), 0.5 + 1e-6);
    ASSERT_NEAR(nonzero[i], 1, 1e-12);
    ASSERT_LT(std::abs(median[i]), 1);
  }
}

// Two ways to count: against limits, and by octaves. They differ only for powers of two.
TEST(LossScaling, MovesTheLayerWhereAFormatEnds) {
  constexpr int fp16 = 2, depth = 40;
  const MeasuredPoint network = measure_one(R"(
    network = { activation = "sigmoid", depth = 40, width = 64 }
    data = { batch = 16 }
    statistics = { preset = "full", loss_scale = 16 }
  )");

  const auto below = [&](int layer, double octave) {
    const double reference = at(network, "dgrad_log2_reference", layer);
    double share = 0;
    for (int bin = 1; bin < stats::octave_bins; ++bin) {
      if (reference + stats::first_octave + bin >= octave) break;
      share += at(network, "dgrad_log2_histogram", layer, bin);
    }
    return share + at(network, "dgrad_log2_histogram", layer, 0);
  };
  int lost = 0, lost_scaled = 0;
  for (int layer = 1; layer <= depth; ++layer) {
    const double share = at(network, "dgrad_underflow_fraction", layer, fp16);
    const double scaled = at(network, "dgrad_scaled_underflow_fraction", layer, fp16);
    EXPECT_NEAR(share, below(layer, -25), 1e-12) << layer;
    EXPECT_NEAR(scaled, below(layer, -25 - 16), 1e-12) << layer;
    lost += share > 0.5;
    lost_scaled += scaled > 0.5;
  }
  // 16 octaves at 0.626992 decades a layer, each of the two borders rounded to a whole layer. Over these 8
  // layers the logarithm walks: by a variance of 0.274/(N ln 10) in each, as in deep_line_test.
  const double law = 16 * std::log10(2.0) / 0.626992;
  const double walk = std::sqrt(law * 0.274 / (64 * std::numbers::ln10)) / 0.626992;
  EXPECT_NEAR(lost - lost_scaled, law, 1 + 4 * walk);
  EXPECT_EQ(at(network, "dgrad_overflow_fraction", 1, fp16), 0);
}

TEST(LossScaling, OverflowsAtTheOutput) {
  const MeasuredPoint network = measure_one(R"(
    network = { activation = "tanh", depth = 2, width = 64 }
    data = { batch = 16 }
    statistics = { preset = "lean", also = ["dgrad_overflow_fraction"], loss_scale = 16 }
  )");

  // N(0, 1) times 2^16 in fp16: all above 65520 / 65536, P(|x| > 1) = 0.317; 1024 elements.
  const double share = 0.3174;
  EXPECT_NEAR(at(network, "dgrad_overflow_fraction", 2, 2), share, 4 * std::sqrt(share * (1 - share) / 1024));
  EXPECT_EQ(at(network, "dgrad_overflow_fraction", 2, 4), 0);
}

/// The cosine of inputs t u + v and t' u + v, and what a layer of ReLU makes of a cosine (Cho and Saul 2009).
double cosine_on_the_line(double t, double other) {
  return (1 + t * other) / std::sqrt((1 + t * t) * (1 + other * other));
}
double after_relu(double c) {
  c = std::min(c, 1.0);
  return (std::sqrt(1 - c * c) + (std::numbers::pi - std::acos(c)) * c) / std::numbers::pi;
}

// Balduzzi et al. 2017: the product over the layers above of 1 - arccos(c_j)/pi, here for each pair of
// neighbours on the line; 1 at the output.
TEST(GridOfInputs, LosesTheCorrelationOfNeighbouringGradients) {
  constexpr int width = 512, depth = 12, batch = 33;
  const std::vector<MeasuredPoint> networks = measure(fmt::format(R"(
    network = {{ activation = "relu", depth = {}, width = {} }}
    init = {{ scheme = "he_normal" }}
    data = {{ source = {{ name = "grid", range = 2.0, offset = 1.0 }}, batch = {} }}
    backward = {{ shared = true }}
    statistics = {{ preset = "lean", also = ["dgrad_lag_corr"] }}
    sweep = {{ seed = {{ range = [0, 8] }} }}
  )",
                                                                  depth, width, batch));

  for (const std::size_t index : {0u, 3u, 5u}) {
    const int lag = stats::lags[index];
    std::vector<double> law(depth + 1, 0);  // by layer
    for (int s = 0; s + lag < batch; ++s) {
      const auto t = [&](int sample) { return 4.0 * sample / (batch - 1) - 2; };
      std::vector<double> c{0, cosine_on_the_line(t(s), t(s + lag))};
      while (int(c.size()) <= depth) c.push_back(after_relu(c.back()));
      double product = 1;
      for (int layer = depth; layer >= 1; --layer) {
        if (layer < depth) product *= 1 - std::acos(std::min(c[std::size_t(layer)], 1.0)) / std::numbers::pi;
        law[std::size_t(layer)] += product / (batch - lag);
      }
    }
    for (const int layer : {1, depth / 2, depth}) {
      SCOPED_TRACE(fmt::format("lag {}, layer {}", lag, layer));
      std::vector<double> measured;
      for (const MeasuredPoint& network : networks)
        measured.push_back(at(network, "dgrad_lag_corr", layer, int(index)));
      expect_law(mean_of(measured), law[std::size_t(layer)], (depth - layer) * finite_width_error(width));
    }
  }
  EXPECT_GT(at(networks[0], "dgrad_lag_corr", 1, 0), at(networks[0], "dgrad_lag_corr", 1, 3));
  EXPECT_TRUE(std::isnan(at(networks[0], "dgrad_lag_corr", 1, 6)));  // no samples 64 places apart
}

}  // namespace
}  // namespace gradflow::experiment
