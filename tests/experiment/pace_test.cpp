#include "../../src/experiment/pace.hpp"

#include <gtest/gtest.h>

namespace gradflow::experiment {
namespace {

constexpr double commit = 0.25;  // seconds that are kept free for it

TEST(Pace, BelievesTheForecastUntilABundleHasEnded) {
  Pace pace(0.5);

  EXPECT_DOUBLE_EQ(pace.predicted_seconds(4), 2);
  pace.begin(4, 100);
  pace.end(112);

  EXPECT_DOUBLE_EQ(pace.predicted_seconds(4), 12);
  EXPECT_DOUBLE_EQ(pace.predicted_seconds(8), 24);
}

TEST(Pace, IsThatOfTheSlowestOfTheLastBundles) {
  Pace pace(0);
  pace.begin(1, 0);
  pace.begin(1, 1);  // in a pipeline the second waits for the first
  pace.end(5);
  pace.end(6.5);

  EXPECT_DOUBLE_EQ(pace.predicted_seconds(2), 11);
  for (int bundle = 0; bundle < 20; ++bundle) {
    pace.begin(1, 10 * bundle);
    pace.end(10 * bundle + 1);
  }
  EXPECT_DOUBLE_EQ(pace.predicted_seconds(2), 2);
}

TEST(Pace, LeavesRoomForHalfAsMuchAgainAndOneCommit) {
  Pace pace(1);

  EXPECT_TRUE(pace.fits(10, 15 + commit));
  EXPECT_FALSE(pace.fits(10, 14.9 + commit));
  pace.wrote(3);
  EXPECT_FALSE(pace.fits(10, 17.9));
  EXPECT_TRUE(pace.fits(10, 18));
  EXPECT_FALSE(pace.fits(0, 0)) << "no time at all measures nothing";
}

}  // namespace
}  // namespace gradflow::experiment
