#include "gradflow/experiment/decision.hpp"

#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "experiment/made_up_costs.hpp"

namespace gradflow::experiment {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

sweep::Sweep sweep_of(int points, int depth, int batch) {
  return parsed(fmt::format(R"(
    network = {{ activation = "tanh", depth = {}, width = 64 }}
    data.batch = {}
    [sweep]
    seed = {{ range = [0, {}] }})",
                            depth, batch, points));
}

Decision decision(const sweep::Sweep& sweep, int ranks, Request request = {}, double most_bytes = unlimited,
                  const Costs& costs = made_up_costs()) {
  request.memory.limit = most_bytes;
  return decide(sweep, request, {.ranks = ranks, .threads_here = 1, .link = {}}, costs);
}

TEST(Decision, TakesIndependentPointsWhenThereAreEnough) {
  const Plan plan = decision(sweep_of(1000, 20, 32), 2).best().plan;

  EXPECT_EQ(plan.layout.stages, 1);
  EXPECT_EQ(plan.layout.groups(), 2);
}

TEST(Decision, PipelinesAPointThatIsAlone) {
  const Candidate best = decision(sweep_of(1, 64, 512), 4).best();

  EXPECT_EQ(best.plan.layout.stages, 4);
  EXPECT_GT(best.plan.microbatches, 4);
  EXPECT_GT(best.forecast.utilisation, 0.6);
}

TEST(Decision, PipelinesAPointThatDoesNotFit) {
  const sweep::Sweep sweep = sweep_of(64, 64, 1024);
  const Decision unlimited_memory = decision(sweep, 4);
  ASSERT_EQ(unlimited_memory.best().plan.layout.stages, 1);

  const double less = 0.7 * double(unlimited_memory.best().forecast.bytes_per_rank);
  const Decision limited = decision(sweep, 4, {}, less);

  EXPECT_GT(limited.best().plan.layout.stages, 1);
  EXPECT_LE(double(limited.best().forecast.bytes_per_rank), less);
}

TEST(Decision, NeverExceedsRanksOrTheShallowestNetwork) {
  const sweep::Sweep sweep = sweep_of(1, 5, 64);

  for (const Candidate& candidate : decision(sweep, 64).candidates) {
    EXPECT_LE(candidate.plan.layout.stages, 5);
  }
}

TEST(Decision, KeepsToWhatTheUserAskedFor) {
  Request request;
  request.stages = 2;
  request.microbatches = 3;
  request.bundle = 5;

  const Decision found = decision(sweep_of(100, 20, 128), 4, request);

  ASSERT_EQ(found.candidates.size(), 1u);
  EXPECT_EQ(found.best().plan.layout.stages, 2);
  EXPECT_EQ(found.best().plan.microbatches, 3);
  EXPECT_EQ(found.best().plan.most_bundled, 5);
}

Candidate candidate(double seconds, std::uint64_t bytes) {
  Candidate c;
  c.forecast.seconds = seconds;
  c.forecast.bytes_per_rank = bytes;
  return c;
}

TEST(Best, IsTheFirstOfTheFastestThatFit) {
  const std::vector<Candidate> choices{candidate(10, 400), candidate(8.2, 300), candidate(8, 200),
                                       candidate(20, 100)};

  EXPECT_EQ(best(choices, unlimited), 1u);  // within 5 % of the fastest, and before it
  EXPECT_EQ(best(choices, 250), 2u);
  EXPECT_EQ(best(choices, 150), 3u);
  EXPECT_EQ(best(choices, 50), 3u);  // nothing fits: the smallest
}

// One layer forward and backward: 3 ns a row and weight, half of the backward pass missing in the first
// layer.
TEST(Forecast, IsTheSumOfAllLayersOnOneRank) {
  const int points = 10, depth = 20, rows = 32;
  const sweep::Sweep sweep = sweep_of(points, depth, rows);
  const Costs costs = made_up_costs();

  const Forecast forecast = decision(sweep, 1).best().forecast;

  const double product = 1e-9 * rows * 64 * 64;
  const double weights = 1e-12 * 64 * 64;
  const double expected = points * (depth * (3 * product + weights) - product);
  EXPECT_NEAR(forecast.seconds / expected, 1, 1e-9);  // statistics: 1e-15 s beside 1e-4 s
  EXPECT_DOUBLE_EQ(forecast.utilisation, 1);
  EXPECT_TRUE(forecast.simulated);
}

// Stacked, so that weights are generated once for all depths, while products are paid row by row.
TEST(Forecast, CountsThePointsOfABundleInTheLayersTheyHave) {
  const sweep::Sweep sweep = parsed(R"(
    network = { activation = "tanh", width = 64 }
    data.batch = 32
    [sweep]
    network.depth = [20, 5, 12])");
  constexpr double weight_seconds = 1e-6;  // dear enough to be seen
  const Costs costs = made_up_costs(weight_seconds);

  const Forecast forecast = decision(sweep, 1, {}, unlimited, costs).best().forecast;

  const double product = 1e-9 * 32 * 64 * 64;
  const double passes = (20 + 5 + 12) * 3 * product - 3 * product;
  EXPECT_EQ(forecast.stacked, 3);
  EXPECT_NEAR(forecast.seconds / (passes + 20 * weight_seconds * 64 * 64), 1, 1e-9);
}

TEST(Forecast, GrowsWithTheSweepInAStraightLine) {
  const double thousand = decision(sweep_of(1000, 20, 32), 1).best().forecast.seconds;
  const Forecast million = decision(sweep_of(1'000'000, 20, 32), 1).best().forecast;

  EXPECT_FALSE(million.simulated);
  EXPECT_NEAR(million.seconds / (1000 * thousand), 1, 1e-6);
}

// Qi et al. (ICLR 2024): weight gradients that are put off fill the drain of a flushed pipeline.
TEST(Forecast, KnowsThatWeightGradientsMayWait) {
  const sweep::Sweep sweep = parsed(R"(
    network = { activation = "tanh", width = 64, depth = 40 }
    data.batch = 256
    sweep = { seed = { range = [0, 8] } })");
  Costs costs = made_up_costs();
  costs.set("float32 gram", {1e-9});  // as dear as the products
  costs.set("float32 formed", {1e-9});
  Request request;
  request.stages = 4;
  request.microbatches = 8;
  request.bundle = 1;
  const Circumstances here{.ranks = 4, .threads_here = 1, .link = {}};

  // As part of the backward pass they would leave M / (M + P - 1) of the time at work, put off up to
  // 3 M / (3 M + P - 1), if all three passes took equally long.
  for (const char* schedule : {"1f1b", "zb_h1"}) {
    request.schedule = schedule;
    const double utilisation = decide(sweep, request, here, costs).best().forecast.utilisation;
    EXPECT_GT(utilisation, 1.05 * 8 / 11) << schedule;
    EXPECT_LT(utilisation, 24.0 / 27) << schedule;
  }
}

TEST(Forecast, FeelsTheNetwork) {
  Request request;
  request.stages = 4;
  const sweep::Sweep sweep = sweep_of(8, 20, 32);
  const Costs costs = made_up_costs();
  Circumstances here{.ranks = 4, .threads_here = 1, .link = {}};

  const double fast = decide(sweep, request, here, costs).best().forecast.seconds;
  here.link.latency_seconds = 1;
  const double slow = decide(sweep, request, here, costs).best().forecast.seconds;

  EXPECT_GT(slow - fast, 6 * 0.99);  // three hops there and three back at the least
}

}  // namespace
}  // namespace gradflow::experiment
