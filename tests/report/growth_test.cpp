#include "gradflow/report/growth.hpp"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "report/sample_file.hpp"

namespace gradflow::report {
namespace {

// Fits of at most 200 numbers of size 100: rounding stays some hundred units in the last place below 1e-12.
constexpr double rounding = 1e-12;

SeedRows rows_of(std::vector<std::vector<double>> of_seed) {
  SeedRows rows{{}, std::move(of_seed)};
  rows.layers.resize(rows.of_seed.front().size());
  std::iota(rows.layers.begin(), rows.layers.end(), 1);
  return rows;
}

TEST(Growth, OfAStraightLineIsItsSlopeTowardsTheInput) {
  const SeedRows rows = rows_of({straight_line(100, -0.25)});

  EXPECT_NEAR(growth_of(rows, {}).log10_per_layer, -0.25, rounding);
}

TEST(Growth, DoesNotSeeTheOutermostLayers) {
  std::vector<double> bent = straight_line(100, 0.01);
  for (int layer = 1; layer <= 10; ++layer) bent[std::size_t(layer - 1)] += 50;
  for (int layer = 91; layer <= 100; ++layer) bent[std::size_t(layer - 1)] -= 50;

  EXPECT_NEAR(growth_of(rows_of({bent}), {}).log10_per_layer, 0.01, rounding);
}

TEST(Growth, SeesEveryInteriorLayer) {
  for (const int layer : {11, 90}) {
    std::vector<double> bent = straight_line(100, 0.01);
    bent[std::size_t(layer - 1)] += 1;

    EXPECT_GT(std::abs(growth_of(rows_of({bent}), {}).log10_per_layer - 0.01), 1e-4) << layer;
  }
}

TEST(Growth, OfSelectedLayersUsesTheirDistances) {
  const SeedRows rows{{1, 21, 31, 41, 51, 61, 71, 81, 90, 100}, {{0, 20, 30, 40, 50, 60, 70, 80, 89, 99}}};

  EXPECT_NEAR(growth_of(rows, {}).log10_per_layer, -1, rounding);
}

TEST(Growth, HasTheStandardErrorOfItsSeeds) {
  const SeedRows rows = rows_of(
      {straight_line(60, 0.1), straight_line(60, 0.2), straight_line(60, 0.3), straight_line(60, 0.4)});

  const Growth growth = growth_of(rows, straight_line(60, 0.3));

  EXPECT_NEAR(growth.log10_per_layer, 0.25, rounding);
  EXPECT_NEAR(growth.standard_error, std::sqrt(0.05 / 3 / 4), rounding);  // squares sum to 0.05
  EXPECT_NEAR(growth.theory, 0.3, rounding);
}

TEST(Growth, OfOneSeedHasNoStandardError) {
  EXPECT_TRUE(std::isnan(growth_of(rows_of({straight_line(60, 0.1)}), {}).standard_error));
}

TEST(Growth, LeavesOutExactZerosAndUndefinedValues) {
  std::vector<double> holes = straight_line(100, -0.5);
  for (int layer = 1; layer <= 40; ++layer) holes[std::size_t(layer - 1)] = -infinity;
  holes[60] = nan;

  EXPECT_NEAR(growth_of(rows_of({holes}), {}).log10_per_layer, -0.5, rounding);
}

TEST(Growth, IsUnknownForTooFewLayers) {
  const auto growth_at_depth = [](int depth) {
    return growth_of(rows_of({straight_line(depth, 0.1)}), {}).log10_per_layer;
  };

  EXPECT_TRUE(std::isnan(growth_at_depth(9)));    // one layer is left out at each end, 7 are fitted
  EXPECT_FALSE(std::isnan(growth_at_depth(10)));  // 8
}

TEST(Profile, IsTheMeanAndRangeOfFiniteSeeds) {
  const Profile profile = profile_of(rows_of({{1, -infinity, nan}, {2, 5, nan}, {6, 7, -infinity}}));

  EXPECT_EQ(profile.mean[0], 3);
  EXPECT_EQ(profile.low[0], 1);
  EXPECT_EQ(profile.high[0], 6);
  EXPECT_EQ(profile.mean[1], 6);
  EXPECT_EQ(profile.low[1], 5);
  EXPECT_TRUE(std::isnan(profile.mean[2]) && std::isnan(profile.low[2]) && std::isnan(profile.high[2]));
}

TEST(Gaps, CountZerosAndUndefinedValuesApart) {
  const Gaps gaps = gaps_of(rows_of({{1, -infinity, nan}, {2, 5, nan}, {6, 7, -infinity}}));

  EXPECT_EQ(gaps.zeros, 2);
  EXPECT_EQ(gaps.undefined, 2);
}

}  // namespace
}  // namespace gradflow::report
