#include <gtest/gtest.h>

#include "networks.hpp"

namespace gradflow::nn {
namespace {

TEST(Widths, NameFanInAndFanOutOfEveryLayer) {
  const Widths widths = Widths::listed({50, 200, 100});

  EXPECT_EQ(widths.depth(), 2);
  EXPECT_EQ(widths.fan_in(1), 50);
  EXPECT_EQ(widths.fan_out(1), 200);
  EXPECT_EQ(widths.fan_in(2), 200);
  EXPECT_EQ(widths.fan_out(2), 100);
}

TEST(Widths, AreTheSameHoweverEqualWidthsAreWritten) {
  EXPECT_EQ(Widths::listed({64, 64, 64, 64}), Widths::uniform(3, 64));
  EXPECT_FALSE(Widths::listed({64, 64, 64, 65}) == Widths::uniform(3, 64));
}

TEST(Widths, RefuseNetworksWithoutLayersOrUnits) {
  EXPECT_THROW(Widths::uniform(0, 5), BrokenPromise);
  EXPECT_THROW(Widths::uniform(5, 0), BrokenPromise);
  EXPECT_THROW(Widths::listed({5}), BrokenPromise);
  EXPECT_THROW(Widths::listed({5, 0, 5}), BrokenPromise);
}

TEST(Bundle, MayHoldPointsThatDifferInAllButTheirUnitWeights) {
  const NetworkSpec one = network(Widths::uniform(5, 16), "tanh", 1);
  NetworkSpec other = with_batch(network(Widths::uniform(5, 16), "relu", 2, 0.3), 100);
  other.init = Initialisation::make("he_normal");  // a normal distribution too
  other.backward.shared = true;

  EXPECT_TRUE(may_share_bundle(one, other));
}

TEST(Bundle, MayHoldPointsOfDifferentDepthWhereBothHaveTheSameWeights) {
  const NetworkSpec deep = network(Widths::listed({8, 16, 4, 4}), "tanh", 1);
  const NetworkSpec beginning = network(Widths::listed({8, 16, 4}), "tanh", 1);
  const NetworkSpec other_output = network(Widths::listed({8, 16, 5}), "tanh", 1);
  const NetworkSpec even = network(Widths::uniform(2, 16), "tanh", 1);

  EXPECT_TRUE(may_share_bundle(deep, beginning));
  EXPECT_TRUE(may_share_bundle(beginning, deep));
  EXPECT_TRUE(may_share_bundle(even, network(Widths::uniform(9, 16), "tanh", 1)));
  EXPECT_TRUE(may_share_bundle(even, network(Widths::listed({16, 16, 16, 7}), "tanh", 1)));
  EXPECT_FALSE(may_share_bundle(deep, other_output));
  EXPECT_FALSE(may_share_bundle(even, network(Widths::listed({16, 16, 7}), "tanh", 1)));
}

TEST(Bundle, LosesItsLastPointsFirst) {
  Bundle bundle;
  for (const int depth : {9, 4, 4, 1}) {
    bundle.push_back(with_batch(network(Widths::uniform(depth, 8), "tanh", 1), 40));
  }

  ASSERT_TRUE(is_deepest_first(bundle));
  for (const auto& [layer, points] :
       std::vector<std::pair<int, int>>{{1, 4}, {2, 3}, {4, 3}, {5, 1}, {9, 1}, {10, 0}}) {
    EXPECT_EQ(points_with_layer(bundle, layer), points);
    EXPECT_EQ(rows_of(microbatch_rows(bundle, 0, 1, layer)), 64 * points);
  }
  std::swap(bundle.front(), bundle.back());
  EXPECT_FALSE(is_deepest_first(bundle));
}

TEST(Bundle, HoldsNoPointsWithDifferentUnitWeightsOrAnotherLoss) {
  const NetworkSpec one = network(Widths::uniform(5, 16), "tanh", 1);
  NetworkSpec other_seed = one, other_width = one, other_distribution = one;
  other_seed.seed = 2;
  other_width.widths = Widths::uniform(5, 17);
  other_distribution.init = Initialisation::make("uniform");

  EXPECT_FALSE(may_share_bundle(one, other_seed));
  EXPECT_FALSE(may_share_bundle(one, other_width));
  EXPECT_FALSE(may_share_bundle(one, other_distribution));
  EXPECT_FALSE(may_share_bundle(one, with_loss(one, "mse")));
}

Bundle bundle_of_batches(const std::vector<int>& batches) {
  Bundle bundle;
  for (const int batch : batches)
    bundle.push_back(with_batch(network(Widths::uniform(2, 8), "tanh", 1), batch));
  return bundle;
}

class EveryBundle : public testing::TestWithParam<std::vector<int>> {};

TEST_P(EveryBundle, HasEverySampleInOneMicrobatchInOrder) {
  const Bundle bundle = bundle_of_batches(GetParam());
  for (int count = 1; count <= most_microbatches(bundle); ++count) {
    std::vector<int> next_sample(bundle.size(), 0);
    for (int index = 0; index < count; ++index) {
      for (const RowRange& range : microbatch_rows(bundle, index, count)) {
        EXPECT_EQ(range.first_sample, next_sample[std::size_t(range.point)]);
        EXPECT_GT(range.samples, 0);
        next_sample[std::size_t(range.point)] += range.samples;
      }
    }
    EXPECT_EQ(next_sample, GetParam()) << count << " microbatches";
  }
}

TEST_P(EveryBundle, IsCutAtMultiplesOfATileAndStackedWithoutGaps) {
  const Bundle bundle = bundle_of_batches(GetParam());
  for (int count = 1; count <= most_microbatches(bundle); ++count) {
    for (int index = 0; index < count; ++index) {
      const Stack stack = microbatch_rows(bundle, index, count);
      int next_row = 0;
      ASSERT_FALSE(stack.empty());
      for (const RowRange& range : stack) {
        EXPECT_EQ(range.first_sample % tile_rows, 0);
        EXPECT_EQ(range.first_row, next_row);
        next_row = range.end_row();
      }
      EXPECT_EQ(rows_of(stack), next_row);
      EXPECT_EQ(next_row % tile_rows, 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Batches, EveryBundle,
                         testing::Values(std::vector{1}, std::vector{32}, std::vector{33}, std::vector{130},
                                         std::vector{1, 130, 64}, std::vector{1000, 1, 31, 320}));

TEST(Microbatches, AreAtMostTheTilesOfTheLargestBatch) {
  const Bundle bundle = bundle_of_batches({1, 65, 64});

  EXPECT_EQ(most_microbatches(bundle), 3);
  EXPECT_THROW(microbatch_rows(bundle, 0, 4), BrokenPromise);
  EXPECT_THROW(microbatch_rows(bundle, 2, 2), BrokenPromise);
}

}  // namespace
}  // namespace gradflow::nn
