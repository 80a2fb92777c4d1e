#include "gradflow/pipeline/simulator.hpp"

#include <algorithm>
#include <ctime>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::pipeline {
namespace {

Simulation simulated(const char* name, PipelineShape shape, StageCost cost) {
  return simulate(actions(schedule(name), shape), std::span(&cost, 1));
}

struct Ratio {
  double forward_seconds;
  double backward_seconds;
};

void PrintTo(Ratio ratio, std::ostream* out) {
  *out << ratio.forward_seconds << " to " << ratio.backward_seconds;
}

class ClosedForm : public testing::TestWithParam<Ratio> {
 protected:
  StageCost cost() const { return {GetParam().forward_seconds, GetParam().backward_seconds, 0, 0}; }

  // Times are sums of at most 2 * 8 * 15 * 5 costs: as many roundings of relative size 2^-53.
  static constexpr double rounding = 2e3 * 1.2e-16;
};

TEST_P(ClosedForm, OfTheBubbleHoldsBundleByBundle) {
  for (const char* name : {"gpipe", "1f1b"}) {
    for (int P = 1; P <= 8; ++P) {
      for (int M = 1; M <= 15; ++M) {
        const Simulation one = simulated(name, {P, M, 1}, cost());
        const Simulation five = simulated(name, {P, M, 5}, cost());

        EXPECT_NEAR(one.idle_fraction, double(P - 1) / (M + P - 1), rounding)
            << name << " P=" << P << " M=" << M;
        EXPECT_NEAR(five.idle_fraction, double(P - 1) / (M + P - 1), rounding)
            << name << " P=" << P << " M=" << M;
      }
    }
  }
}

TEST_P(ClosedForm, OfTheBubbleShrinksWithTheBundlesOfAStream) {
  for (int P = 1; P <= 8; ++P) {
    for (int M = 1; M <= 15; ++M) {
      for (const int K : {1, 2, 5}) {
        const Simulation run = simulated("streamed_1f1b", {P, M, K}, cost());

        EXPECT_NEAR(run.idle_fraction, double(P - 1) / (K * M + P - 1), rounding)
            << "P=" << P << " M=" << M << " K=" << K;
      }
    }
  }
}

// With t_F = t_B = t_W = 1 the last stage starts at P - 1 and then never waits: its first P backward passes
// come every 2, as fast as forward passes reach it, because it puts P - 1 weight passes off. So all stages
// end at 3M + P - 1, each of them idle for (P - 1)(t_F + t_B - t_W) = P - 1; Qi et al. (ICLR 2024), table 1.
// With fewer microbatches than stages there are too few weight passes to put off: the last backward of stage
// 0 and its weight pass are through at (M + P - 1)(t_F + t_B) + t_W.
TEST(ZeroBubble, HasTheBubbleOfThePaper) {
  for (int P = 1; P <= 8; ++P) {
    for (int M = 1; M <= 20; ++M) {
      for (const int K : {1, 2, 5}) {
        const Simulation run = simulated("zb_h1", {P, M, K}, {1, 1, 0, 1});

        const double bundle = M >= P ? 3 * M + P - 1 : 2 * (M + P - 1) + 1;
        EXPECT_EQ(run.makespan_seconds, K * bundle) << "P=" << P << " M=" << M;  // whole seconds: exact
        EXPECT_EQ(run.idle_fraction, (bundle - 3 * M) / bundle) << "P=" << P << " M=" << M;
      }
    }
  }
}

// A bundle in which B and W are one, as the peers of the paper run it, takes (M + P - 1)(t_F + t_B + t_W).
TEST(ZeroBubble, IsShorterThanAPipelineThatSendsAfterTheWeightPass) {
  for (int P = 2; P <= 8; ++P) {
    const double joined = simulated("1f1b", {P, 2 * P, 1}, {1, 2, 0, 0}).makespan_seconds;
    const double split = simulated("zb_h1", {P, 2 * P, 1}, {1, 1, 0, 1}).makespan_seconds;

    EXPECT_EQ(joined - split, 2 * (P - 1));  // of a bubble of 3 (P - 1), two thirds
  }
}

TEST(Simulator, RunsWeightPassesWhileAStageWaits) {
  const Simulation run =
      simulate(actions(schedule("1f1b"), {2, 3, 1}), std::vector<StageCost>{{1, 1, 0, 5}, {10, 10, 0, 2}});

  // Stage 1: F0 1-11, B0 -21, F1 -31, B1 -41, F2 -51, B2 -61, W0 -63, W1 -65, W2 -67.
  // Stage 0 waits for B0 until 21, for B1 until 41 and for B2 until 61, and adds W0 and W1 meanwhile.
  std::vector<double> starts;
  for (const Event& event : run.events) {
    if (event.stage == 0 && event.action.pass == Pass::weight) starts.push_back(event.start_seconds);
  }
  EXPECT_THAT(starts, testing::ElementsAre(23, 42, 62));
  EXPECT_EQ(run.makespan_seconds, 67);
}

TEST(Simulator, ForgetsItsEventsIfAskedTo) {
  const StageCost cost{1, 1, 0.1, 1};
  const std::vector<Actions> lists = actions(schedule("zb_h1"), {4, 6, 2});

  const Simulation kept = simulate(lists, std::span(&cost, 1));
  const Simulation lean = simulate(lists, std::span(&cost, 1), Events::drop);

  EXPECT_EQ(kept.events.size(), 3u * 4 * 12);
  EXPECT_TRUE(lean.events.empty());
  EXPECT_EQ(lean.makespan_seconds, kept.makespan_seconds);
  EXPECT_EQ(lean.idle_fraction, kept.idle_fraction);
}

INSTANTIATE_TEST_SUITE_P(BackwardToForward, ClosedForm,
                         testing::Values(Ratio{1, 1}, Ratio{1, 2}, Ratio{0.7, 0.1}, Ratio{0.1, 0.33}));

TEST(Simulator, AddsUpOneMicrobatchThroughTwoStages) {
  const std::vector<StageCost> costs = {{1, 4, 0.5, 0}, {2, 3, 0.25, 0}};

  const Simulation run = simulate(actions(schedule("1f1b"), {2, 1, 1}), costs);

  // forward 1, message 0.5, forward 2, backward 3, message 0.25, backward 4
  EXPECT_EQ(run.makespan_seconds, 10.75);
  EXPECT_EQ(run.stages[0].busy_seconds, 5);
  EXPECT_EQ(run.stages[1].idle_seconds, 5.75);
  EXPECT_EQ(run.idle_fraction, (5.75 + 5.75) / (2 * 10.75));
  ASSERT_EQ(run.events.size(), 6u);  // the weight pass at the end takes no time
  EXPECT_EQ(run.events[4].start_seconds, 6.75);
  EXPECT_EQ(run.events[4].end_seconds, 10.75);
}

TEST(Simulator, RunsAtThePaceOfTheSlowestStage) {
  const std::vector<StageCost> costs = {{1, 2, 0, 0}, {10, 20, 0, 0}, {1, 2, 0, 0}};

  const Simulation run = simulate(actions(schedule("streamed_1f1b"), {3, 4, 25}), costs);

  // The slow stage works 100 * 30 s without a pause; before and after it one microbatch passes the first
  // stage, and its first backward waits for the last stage.
  EXPECT_EQ(run.stages[1].busy_seconds, 3000);
  EXPECT_LE(run.makespan_seconds, 3000 + 1 + 2 + 1 + 2);
  EXPECT_GE(run.makespan_seconds, 3000 + 1 + 2);
}

TEST(Simulator, StartsNoActionBeforeWhatItNeeds) {
  const StageCost cost{1, 2, 0.3, 0};
  constexpr int P = 4, M = 6;
  const Simulation run = simulated("1f1b", {P, M, 1}, cost);

  double end[2][P][M] = {};
  for (const Event& event : run.events) {
    const auto m = event.action.microbatch;
    if (event.action.pass == Pass::weight) continue;
    const bool forward = event.action.pass == Pass::forward;
    const int source = forward ? event.stage - 1 : event.stage + 1;
    if (0 <= source && source < P) {
      ASSERT_GT(end[!forward][source][m], 0.0) << "events come after what they need";
      EXPECT_GE(event.start_seconds, end[!forward][source][m] + cost.message_seconds);
    }
    end[!forward][event.stage][m] = event.end_seconds;
  }
  EXPECT_EQ(run.events.size(), std::size_t(3 * P * M));
}

TEST(Simulator, CountsMicrobatchesInFlight) {
  const Simulation run = simulated("1f1b", {4, 3, 1}, {});

  std::vector<std::int64_t> peaks;
  for (const StageTimes& stage : run.stages) peaks.push_back(stage.peak_in_flight);
  EXPECT_THAT(peaks, testing::ElementsAre(3, 3, 2, 1));
}

TEST(Simulator, RefusesListsThatDeadlock) {
  std::vector<Actions> lists = actions(schedule("1f1b"), {2, 2, 1});
  lists[0].clear();

  const StageCost cost;
  EXPECT_THROW(simulate(lists, std::span(&cost, 1)), BrokenPromise);
}

TEST(Simulator, ReachesSixteenThousandStages) {
  const std::clock_t start = std::clock();  // of this process: a busy machine changes nothing

  const StageCost cost{1, 2, 0, 0};
  const Simulation run =
      simulate(actions(schedule("1f1b"), {16'384, 48, 1}), std::span(&cost, 1), Events::drop);

  EXPECT_EQ(run.idle_fraction, 16'383.0 / (48 + 16'383));  // whole seconds: exact
  EXPECT_LT(double(std::clock() - start) / CLOCKS_PER_SEC, 10);
}

}  // namespace
}  // namespace gradflow::pipeline
