#include "gradflow/pipeline/checkpointing.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include <gtest/gtest.h>

namespace gradflow::pipeline {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

/// Equal blocks: a tape of 2 states and weights of 3, generated for a tenth of a forward pass.
StageDemand equal_blocks(int blocks) {
  return {.blocks = blocks,
          .in_flight = 1,
          .weight_bytes = 300.0 * blocks,
          .tape_bytes = 200.0 * blocks,
          .largest_weight_bytes = 300,
          .largest_tape_bytes = 200,
          .state_bytes = 100,
          .forward_operations = 1000.0 * blocks,
          .generation_operations = 100.0 * blocks};
}

TEST(Checkpointing, KeepsEverythingThatFits) {
  const StageDemand demand = equal_blocks(1000);

  EXPECT_EQ(cheapest(demand, unlimited), Checkpointing{});
  EXPECT_EQ(cheapest(demand, 500'000), Checkpointing{});
  EXPECT_EQ(bytes_of({}, demand), 500'000);
  EXPECT_EQ(extra_operations({}, demand), 0);
}

TEST(Checkpointing, TakesTheCheaperOfGeneratingWeightsAndRunningForwardAgain) {
  StageDemand demand = equal_blocks(1000);
  EXPECT_EQ(cheapest(demand, 499'999), (Checkpointing{{}, false}));

  demand.generation_operations = 2 * demand.forward_operations;  // orthogonal matrices
  const Checkpointing chosen = cheapest(demand, 499'999).value();

  EXPECT_EQ(chosen.spans.size(), 1u);
  EXPECT_TRUE(chosen.keep_weights);
}

TEST(Checkpointing, DoesBothAndThenMoreLevelsWhenOneIsNotEnough) {
  const StageDemand demand = equal_blocks(1'000'000);

  const Checkpointing both = cheapest(demand, 10e6).value();
  EXPECT_EQ(both.spans.size(), 1u);
  EXPECT_FALSE(both.keep_weights);

  const Checkpointing deeper = cheapest(demand, bytes_of(both, demand) / 2).value();
  EXPECT_EQ(deeper.spans.size(), 2u);
  EXPECT_FALSE(deeper.keep_weights);
}

TEST(Checkpointing, NeedsTheRootOfTheDepth) {
  // n/p states and p blocks are least at p = sqrt(n * state / block): 2 sqrt(n * state * block) bytes.
  const StageDemand demand = equal_blocks(1'000'000);
  const double least = 2 * std::sqrt(1e6 * 100 * 500);

  const double chosen = bytes_of(cheapest(demand, 1.1 * least).value(), demand);

  EXPECT_NEAR(chosen / least, 1, 0.01);  // spans are whole numbers near 447
}

TEST(Checkpointing, FindsNothingBelowTheSmallest) {
  const StageDemand demand = equal_blocks(100'000);
  const double least = bytes_of(smallest(demand), demand);

  EXPECT_FALSE(cheapest(demand, 0.999 * least));
  EXPECT_TRUE(cheapest(demand, least));
  EXPECT_EQ(cheapest(demand, least)->spans, smallest(demand).spans);
}

TEST(Checkpointing, NeverNeedsMoreThanItMayAndNeverCostsLessForLess) {
  for (const int blocks : {1, 2, 3, 10, 577, 40'000}) {
    for (const double in_flight : {1.0, 4.0}) {
      StageDemand demand = equal_blocks(blocks);
      demand.in_flight = in_flight;
      double cost = 0;
      for (double bytes = bytes_of({}, demand); bytes > 0; bytes *= 0.9) {
        const std::optional<Checkpointing> chosen = cheapest(demand, bytes);
        if (!chosen) break;
        EXPECT_LE(bytes_of(*chosen, demand), bytes);
        EXPECT_GE(extra_operations(*chosen, demand), cost);
        EXPECT_TRUE(std::ranges::is_sorted(chosen->spans, std::ranges::greater{}));
        cost = extra_operations(*chosen, demand);
      }
    }
  }
}

TEST(Checkpointing, KeepsTheCoarsestSignalsOfEveryMicrobatchInFlight) {
  StageDemand demand = equal_blocks(100);
  const Checkpointing tens{{10}, false};
  const double one = bytes_of(tens, demand);

  demand.in_flight = 3;

  EXPECT_EQ(one, 10 * 100 + 10 * 500);
  EXPECT_EQ(bytes_of(tens, demand), one + 2 * 10 * 100);
}

}  // namespace
}  // namespace gradflow::pipeline
