#include "gradflow/pipeline/partition.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::pipeline {
namespace {

std::vector<int> lengths_of(const Partition& partition) {
  std::vector<int> lengths;
  for (int stage = 0; stage < partition.stages(); ++stage)
    lengths.push_back(partition.blocks_of(stage).size());
  return lengths;
}

double largest_stage_cost(const Partition& partition, const std::vector<double>& cost) {
  double largest = 0;
  for (int stage = 0; stage < partition.stages(); ++stage) {
    const BlockRange range = partition.blocks_of(stage);
    largest = std::max(largest, std::accumulate(cost.begin() + range.first, cost.begin() + range.end, 0.0));
  }
  return largest;
}

/// The same by trying every cut.
double smallest_possible(const std::vector<double>& cost, int first, int stages) {
  const int blocks = int(cost.size());
  if (stages == 1) return std::accumulate(cost.begin() + first, cost.end(), 0.0);
  double best = std::numeric_limits<double>::infinity(), mine = 0;
  for (int end = first + 1; end <= blocks - (stages - 1); ++end) {
    mine += cost[std::size_t(end) - 1];
    best = std::min(best, std::max(mine, smallest_possible(cost, end, stages - 1)));
  }
  return best;
}

void expect_every_block_in_one_stage(const Partition& partition) {
  int next = 0;
  for (int stage = 0; stage < partition.stages(); ++stage) {
    const BlockRange range = partition.blocks_of(stage);
    EXPECT_EQ(range.first, next);
    ASSERT_GE(range.size(), 1);
    EXPECT_EQ(partition.stage_of(range.first), stage);
    EXPECT_EQ(partition.stage_of(range.end - 1), stage);
    next = range.end;
  }
  EXPECT_EQ(next, partition.blocks());
}

TEST(Partition, LosesNoLayerOfAPrimeDepth) {
  const Partition partition = Partition::uniform(101, 3);

  EXPECT_EQ(partition.blocks(), 101);
  expect_every_block_in_one_stage(partition);
}

TEST(Partition, CutsUniformlyIntoLengthsThatDifferByAtMostOne) {
  for (int blocks = 1; blocks <= 40; ++blocks) {
    for (int stages = 1; stages <= blocks; ++stages) {
      const Partition partition = Partition::uniform(blocks, stages);

      expect_every_block_in_one_stage(partition);
      const std::vector<int> lengths = lengths_of(partition);
      EXPECT_LE(*std::max_element(lengths.begin(), lengths.end()),
                *std::min_element(lengths.begin(), lengths.end()) + 1);
    }
  }
}

// Integer costs: sums are exact, so the optimum is met exactly.
TEST(Partition, HasTheSmallestPossibleBottleneck) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 400; ++trial) {
    const int blocks = 1 + int(random() % 11);
    const int stages = 1 + int(random() % unsigned(blocks));
    std::vector<double> cost(std::size_t(blocks), 0.0);
    for (double& c : cost) c = double(random() % (trial % 2 ? 4 : 1000));  // many ties and zeros, or few

    const Partition partition = Partition::balanced(cost, stages);

    expect_every_block_in_one_stage(partition);
    EXPECT_EQ(partition.stages(), stages);
    EXPECT_EQ(largest_stage_cost(partition, cost), smallest_possible(cost, 0, stages))
        << testing::PrintToString(cost);
  }
}

TEST(Partition, OfEqualCostsIsUniform) {
  for (int stages = 1; stages <= 30; ++stages) {
    const std::vector<int> lengths = lengths_of(Partition::balanced(std::vector<double>(101, 0.1), stages));
    EXPECT_LE(*std::max_element(lengths.begin(), lengths.end()),
              *std::min_element(lengths.begin(), lengths.end()) + 1);
  }
}

TEST(Partition, GivesAnExpensiveBlockAStageOfItsOwn) {
  const std::vector<double> cost = {1, 1, 1, 100, 1, 1};

  EXPECT_THAT(lengths_of(Partition::balanced(cost, 3)), testing::ElementsAre(3, 1, 2));
}

TEST(Partition, GivesEveryStageABlockEvenIfNoneCostsAnything) {
  expect_every_block_in_one_stage(Partition::balanced(std::vector<double>(7, 0.0), 5));
}

TEST(Partition, BalancesAMillionBlocksOverTenThousandStages) {
  std::mt19937 random(2);
  std::vector<double> cost(1'000'000);
  for (double& c : cost) c = double(1 + random() % 1000);
  const double mean = std::accumulate(cost.begin(), cost.end(), 0.0) / 10'000;

  const Partition partition = Partition::balanced(cost, 10'000);

  expect_every_block_in_one_stage(partition);
  EXPECT_LT(largest_stage_cost(partition, cost),
            mean + 1000);  // a greedy cut at the mean is off by one block at most
}

TEST(Partition, RefusesWhatItCannotCut) {
  EXPECT_THROW(Partition::uniform(3, 4), BrokenPromise);
  EXPECT_THROW(Partition::balanced(std::vector<double>{1, 2}, 3), BrokenPromise);
  EXPECT_THROW(Partition::balanced(std::vector<double>{1, -2}, 1), BrokenPromise);
  EXPECT_THROW(Partition::uniform(3, 2).stage_of(3), BrokenPromise);
}

TEST(StagesOfTheUser, AreRefusedIfSomeNetworkIsTooShort) {
  EXPECT_NO_THROW(require_stages(5, 5, "point 17 (depth = 5)"));
  EXPECT_THROW(require_stages(0, 5, "every network"), UserError);
  try {
    require_stages(8, 5, "point 17 (depth = 5)");
    FAIL() << "8 stages of 5 layers";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "--stages 8: point 17 (depth = 5) has 5 layers and every stage needs at least one; "
                 "write --stages auto, or a number from 1 to 5");
  }
}

}  // namespace
}  // namespace gradflow::pipeline
