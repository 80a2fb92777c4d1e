#include "gradflow/experiment/stream.hpp"

#include <ctime>
#include <vector>

#include <gtest/gtest.h>

namespace gradflow::experiment {
namespace {

using pipeline::StageCost;

constexpr std::int64_t no_limit = 1 << 24;

double seconds(const char* schedule, std::int64_t microbatches, std::int64_t bundles,
               const std::vector<StageCost>& costs, std::int64_t most_actions) {
  return stream_time(pipeline::schedule(schedule), microbatches, bundles, costs, most_actions).seconds;
}

TEST(StreamTime, IsTheClosedFormForEqualStages) {
  const std::vector<StageCost> costs(4, {1, 2, 0});

  const StreamTime time = stream_time(pipeline::schedule("streamed_1f1b"), 2, 10, costs, no_limit);

  EXPECT_TRUE(time.simulated);
  EXPECT_DOUBLE_EQ(time.seconds, (20 + 3) * 3);  // KM microbatches and P - 1 to fill and drain
  EXPECT_DOUBLE_EQ(time.utilisation, 20.0 / (20 + 3));
}

// Integers in double: every time is exact, so are straight lines through them.
TEST(StreamTime, ContinuesAStretchExactlyWhereStagesAreEqual) {
  const std::vector<StageCost> costs(8, {1, 2, 0});

  EXPECT_DOUBLE_EQ(seconds("streamed_1f1b", 2, 1000, costs, 2000), (2000 + 7) * 3);
  EXPECT_DOUBLE_EQ(seconds("1f1b", 2, 1000, costs, 2000), 1000 * (2 + 7) * 3);
}

TEST(StreamTime, ThinsAPipelineThatIsTooLong) {
  const std::vector<StageCost> costs(1000, {1, 2, 0});

  const StreamTime time = stream_time(pipeline::schedule("streamed_1f1b"), 1, 5000, costs, 100'000);

  EXPECT_FALSE(time.simulated);
  EXPECT_NEAR(time.seconds / ((5000 + 999) * 3), 1, 0.01);
}

TEST(StreamTime, OfAStretchIsNearTheWholeForUnequalStagesAndMessages) {
  std::vector<StageCost> costs;
  for (int stage = 0; stage < 40; ++stage) costs.push_back({1.0 + 0.1 * (stage % 7), 2, 0.2});

  for (const char* schedule : {"streamed_1f1b", "1f1b"}) {
    const double whole = seconds(schedule, 4, 200, costs, no_limit);
    const double stretch = seconds(schedule, 4, 200, costs, 20'000);
    EXPECT_NEAR(stretch / whole, 1, 0.05) << schedule;  // a prediction aims at 25 %
  }
}

double processor_seconds() { return double(std::clock()) / CLOCKS_PER_SEC; }

TEST(StreamTime, Answers16384StagesInTime) {
  const std::vector<StageCost> costs(16'384, {1, 2, 0});
  const double start = processor_seconds();

  const StreamTime time = stream_time(pipeline::schedule("streamed_1f1b"), 48, 1, costs, 1 << 21);

  EXPECT_TRUE(time.simulated);
  EXPECT_DOUBLE_EQ(time.seconds, (48 + 16'383) * 3.0);
  EXPECT_LT(processor_seconds() - start, 10);
}

}  // namespace
}  // namespace gradflow::experiment
