#include "gradflow/pipeline/groups.hpp"

#include <algorithm>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::pipeline {
namespace {

using Cost = std::function<double(PointBlock)>;

std::vector<PointBlock> blocks_of(const Share& share) {
  std::vector<PointBlock> blocks;
  for (std::int64_t i = 0; i < share.blocks(); ++i) blocks.push_back(share.block(i));
  return blocks;
}

double cost_of(const Share& share, const Cost& cost) {
  const std::vector<PointBlock> blocks = blocks_of(share);
  return std::accumulate(blocks.begin(), blocks.end(), 0.0,
                         [&](double sum, PointBlock b) { return sum + cost(b); });
}

double points_in(PointBlock block) { return double(block.size()); }

void expect_every_point_once(const std::vector<Share>& shares, std::int64_t points) {
  std::vector<int> owners(std::size_t(points), 0);
  for (const Share& share : shares) {
    const std::vector<PointBlock> blocks = blocks_of(share);
    EXPECT_TRUE(
        std::is_sorted(blocks.begin(), blocks.end(), [](auto a, auto b) { return a.first < b.first; }));
    for (const PointBlock block : blocks) {
      for (std::int64_t p = block.first; p < block.end; ++p) ++owners[std::size_t(p)];
    }
  }
  EXPECT_THAT(owners, testing::Each(1));
}

template <class... More>
std::vector<Share> shares_of(const Layout& layout, std::int64_t points, const More&... more) {
  std::vector<Share> shares;
  for (int group = 0; group < layout.groups(); ++group)
    shares.push_back(share_of(layout, group, points, more...));
  return shares;
}

TEST(Layout, MakesASmallerGroupOfTheLeftoverRanks) {
  const Layout layout = Layout::of(11, 4);

  EXPECT_EQ(layout.groups(), 3);
  EXPECT_EQ(layout.stages_of(1), 4);
  EXPECT_EQ(layout.stages_of(2), 3);
  EXPECT_EQ(layout.place_of(7), (Place{1, 3}));
  EXPECT_EQ(layout.place_of(10), (Place{2, 2}));
}

TEST(Layout, GivesEveryRankAPlaceOfItsOwn) {
  for (int ranks = 1; ranks <= 20; ++ranks) {
    for (int stages = 1; stages <= ranks; ++stages) {
      const Layout layout = Layout::of(ranks, stages);
      int rank = 0;
      for (int group = 0; group < layout.groups(); ++group) {
        EXPECT_EQ(layout.first_rank_of(group), rank);
        for (int stage = 0; stage < layout.stages_of(group); ++stage) {
          EXPECT_EQ(layout.place_of(rank++), (Place{group, stage}));
        }
      }
      EXPECT_EQ(rank, ranks);
    }
  }
}

TEST(Layout, RefusesAPipelineLongerThanTheJob) {
  EXPECT_NO_THROW(require_layout(4, 4));
  EXPECT_THROW(require_layout(4, 0), UserError);
  try {
    require_layout(2, 4);
    FAIL() << "4 stages on 2 ranks";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "--stages 4: this job has 2 ranks and every stage is one; write --stages auto, or a number "
                 "from 1 to 2, "
                 "or start more ranks (mpirun -n 4)");
  }
}

TEST(Share, CoversEveryPointOnce) {
  for (const Layout layout :
       {Layout::of(1, 1), Layout::of(4, 1), Layout::of(11, 4), Layout::of(7, 5), Layout::of(16, 6)}) {
    for (const std::int64_t points : {0, 1, 3, 63, 64, 65, 104, 1000, 20'001}) {
      expect_every_point_once(shares_of(layout, points), points);
      expect_every_point_once(shares_of(layout, points, Cost(points_in)), points);
    }
  }
}

// Full groups differ by one block at most; the smaller group is off its part by one round more.
TEST(Share, OfEqualPointsGoesByTheStagesOfAGroup) {
  const Layout layout = Layout::of(11, 4);
  const double points = 100'000, per_stage = points / 11;

  for (int group = 0; group < layout.groups(); ++group) {
    const double mine = cost_of(share_of(layout, group, std::int64_t(points)), points_in);
    EXPECT_NEAR(mine, per_stage * layout.stages_of(group), 2 * most_block_points);
  }
}

TEST(Share, KeepsBlocksOfSixtyFourPointsTogether) {
  const std::vector<PointBlock> blocks = blocks_of(share_of(Layout::of(8, 2), 3, 100'000));

  EXPECT_EQ(blocks[0], (PointBlock{192, 256}));
  EXPECT_EQ(blocks[1], (PointBlock{192 + 256, 256 + 256}));
}

TEST(Share, MakesSmallerBlocksRatherThanIdleGroups) {
  for (const Share& share : shares_of(Layout::of(4, 1), 104)) EXPECT_NEAR(cost_of(share, points_in), 26, 3);
}

TEST(Share, OfAHundredMillionPointsCostsNothing) {
  const Share share = share_of(Layout::of(1000, 8), 7, 100'000'000);

  EXPECT_EQ(share.blocks(), 100'000'000 / 64 / 125);
  EXPECT_EQ(share.block(share.blocks() - 1).first, ((share.blocks() - 1) * 125 + 7) * 64);
}

// Depths from 1 to 1000 along the sweep: equal numbers of points would differ by a factor of 15 in cost.
TEST(Share, OfUnequalPointsBalancesTheCost) {
  const Layout layout = Layout::of(8, 2);
  const Cost cost = [](PointBlock b) { return double(b.size()) * double(1 + b.first / 10); };
  const std::vector<Share> shares = shares_of(layout, 10'000, cost);

  double mean = 0;
  for (const Share& share : shares) mean += cost_of(share, cost) / layout.groups();
  for (const Share& share : shares) EXPECT_NEAR(cost_of(share, cost), mean, 0.01 * mean);
}

TEST(Share, GivesTheSmallerGroupLessOfUnequalPoints) {
  const Layout layout = Layout::of(5, 3);
  const Cost cost = [](PointBlock b) { return double(b.size()) * double(1 + b.first % 977); };
  const std::vector<Share> shares = shares_of(layout, 50'000, cost);

  EXPECT_NEAR(cost_of(shares[0], cost) / cost_of(shares[1], cost), 3.0 / 2.0, 0.03);
}

}  // namespace
}  // namespace gradflow::pipeline
