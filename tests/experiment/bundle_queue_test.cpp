#include "../../src/experiment/bundle_queue.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "experiment/made_up_costs.hpp"

namespace gradflow::experiment {
namespace {

constexpr const char* axes = R"(
  network = { activation = "tanh", width = 64 }
  data.batch = 32
  [sweep]
)";

std::vector<QueuedPoint> points_of(const sweep::Sweep& sweep) {
  std::vector<QueuedPoint> points;
  for (std::uint64_t k = 0; k < sweep.size(); ++k) points.push_back({k, network_of(sweep.point(k))});
  return points;
}

std::deque<PointBundle> bundles_of(const sweep::Sweep& sweep, int most) {
  Request request;
  request.bundle = most;
  const Plan plan = make_plan(sweep, request, 1, 1);
  return stacked(points_of(sweep), plan, Precision::float32);
}

std::vector<int> depths_of(const PointBundle& bundle) {
  std::vector<int> depths;
  for (const nn::NetworkSpec& network : bundle.networks) depths.push_back(network.depth());
  return depths;
}

TEST(Stacked, KeepsTheOrderOfPointsThatAreEquallyDeep) {
  const sweep::Sweep sweep =
      parsed(fmt::format("{} network.depth = [5]\nseed = [1, 2]\n"
                         "init.sigma_w = [1, 2, 3]",
                         axes));

  const std::deque<PointBundle> bundles = bundles_of(sweep, 64);

  ASSERT_EQ(bundles.size(), 2u);  // one for each seed
  EXPECT_EQ(bundles[0].points, (std::vector<std::uint64_t>{0, 1, 2}));
  EXPECT_EQ(bundles[1].points, (std::vector<std::uint64_t>{3, 4, 5}));
}

TEST(ABundleQueue, GivesPointsThatWereReturnedOneByOneBeforeTheOthers) {
  const sweep::Sweep sweep =
      parsed(fmt::format("{} network.depth = [5]\nseed = [1, 2]\ninit.sigma_w = [1, 2, 3]", axes));
  Request request;
  request.bundle = 64;
  const Plan plan = make_plan(sweep, request, 1, 1);
  const std::vector<bool> unfinished(sweep.size(), true);
  const pipeline::Share share = pipeline::share_of(plan.layout, 0, std::int64_t(sweep.size()));
  BundleQueue queue(sweep, plan, share, unfinished, Precision::float32);

  queue.return_one_by_one(*queue.next());

  std::vector<std::vector<std::uint64_t>> given;
  while (const std::optional<PointBundle> bundle = queue.next()) {
    ASSERT_EQ(bundle->networks.size(), bundle->points.size());
    given.push_back(bundle->points);
  }
  EXPECT_EQ(given, (std::vector<std::vector<std::uint64_t>>{{0}, {1}, {2}, {3, 4, 5}}));
}

TEST(Stacked, MixesDepthsDeepestFirst) {
  const sweep::Sweep sweep =
      parsed(fmt::format("{} network.depth = [3, 12, 7]\ninit.sigma_w = [1, 2]", axes));

  const std::deque<PointBundle> bundles = bundles_of(sweep, 64);

  ASSERT_EQ(bundles.size(), 1u);
  EXPECT_EQ(bundles[0].points, (std::vector<std::uint64_t>{2, 3, 4, 5, 0, 1}));
  EXPECT_EQ(depths_of(bundles[0]), (std::vector{12, 12, 7, 7, 3, 3}));
  EXPECT_TRUE(nn::is_deepest_first(bundles[0].networks));
}

TEST(Stacked, FillsABundleWithEqualDepthsBeforeItMixesThem) {
  const sweep::Sweep sweep =
      parsed(fmt::format("{} init.sigma_w = [1, 2, 3, 4, 5]\nnetwork.depth = [3, 12]", axes));

  const std::deque<PointBundle> bundles = bundles_of(sweep, 4);

  // Weights of 12 + 12 + 3 layers. In the order of the sweep they would be 12 + 12 + 12.
  ASSERT_EQ(bundles.size(), 3u);
  // The bundle with the sweep's first point runs first.
  EXPECT_EQ(depths_of(bundles[0]), (std::vector{12, 3, 3, 3}));
  EXPECT_EQ(depths_of(bundles[1]), (std::vector{12, 12, 12, 12}));
  EXPECT_EQ(depths_of(bundles[2]), (std::vector{3, 3}));
}

TEST(Stacked, GivesEveryPointOnceToABundleThatHasRoomForIt) {
  const sweep::Sweep sweep = parsed(fmt::format(
      "{} network.depth = [3, 12, 700]\ndata.batch = [32, 1000]\ninit.sigma_w = [1, 2, 3, 4]", axes));
  const Plan plan = make_plan(sweep, {}, 1, 1);

  std::vector<std::uint64_t> seen;
  for (const PointBundle& bundle : stacked(points_of(sweep), plan, Precision::float32)) {
    seen.insert(seen.end(), bundle.points.begin(), bundle.points.end());
    for (const nn::NetworkSpec& network : bundle.networks) {
      // 1000 samples make products as efficient as they get: nothing is stacked with them.
      EXPECT_LE(bundle.points.size(), network.batch == 1000 ? 1u : 32u);
    }
  }

  std::ranges::sort(seen);
  std::vector<std::uint64_t> every(sweep.size());
  for (std::uint64_t k = 0; k < sweep.size(); ++k) every[k] = k;
  EXPECT_EQ(seen, every);
}

}  // namespace
}  // namespace gradflow::experiment
