#include "gradflow/pipeline/schedule.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/pipeline/validator.hpp"

namespace gradflow::pipeline {

void PrintTo(const ScheduleRow& row, std::ostream* out) { *out << row.name; }
void PrintTo(Action action, std::ostream* out) {
  *out << "FBW"[std::size_t(action.pass)] << action.microbatch;
}

namespace {

Actions plus(Actions list, std::int64_t first_microbatch) {
  for (Action& action : list) action.microbatch += first_microbatch;
  return list;
}

/// What neighbours hear of: weight passes send nothing.
Actions without_weight_passes(Actions list) {
  std::erase_if(list, [](Action action) { return action.pass == Pass::weight; });
  return list;
}

Actions& append(Actions& list, const Actions& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

/// 1F1B written out: Narayanan et al., PipeDream-Flush (ICML 2021), figure 2.
Actions one_forward_one_backward(PipelineShape shape, int stage) {
  const std::int64_t warmup = std::min<std::int64_t>(shape.stages - 1 - stage, shape.microbatches);

  Actions list;
  for (std::int64_t m = 0; m < warmup; ++m) list.push_back({Pass::forward, m});
  for (std::int64_t m = warmup; m < shape.microbatches; ++m) {
    list.push_back({Pass::forward, m});
    list.push_back({Pass::backward, m - warmup});
  }
  for (std::int64_t m = shape.microbatches - warmup; m < shape.microbatches; ++m) {
    list.push_back({Pass::backward, m});
  }
  return list;
}

/// GPipe written out.
Actions all_forward_all_backward(PipelineShape shape, int) {
  Actions list;
  for (const Pass pass : {Pass::forward, Pass::backward}) {
    for (std::int64_t m = 0; m < shape.microbatches; ++m) list.push_back({pass, m});
  }
  return list;
}

Actions bundle_by_bundle(Actions (*written_out)(PipelineShape, int), PipelineShape shape, int stage) {
  Actions list;
  for (std::int64_t bundle = 0; bundle < shape.bundles; ++bundle) {
    append(list, plus(written_out(shape, stage), bundle * shape.microbatches));
  }
  return list;
}

template <class Check>
void for_every_shape(Check check) {
  for (int stages = 1; stages <= 8; ++stages) {
    for (std::int64_t microbatches = 1; microbatches <= 16; ++microbatches) {
      for (const std::int64_t bundles : {1, 2, 5}) check(PipelineShape{stages, microbatches, bundles});
    }
  }
}

TEST(Schedule, OneForwardOneBackwardIsTheListOfThePaper) {
  for_every_shape([](PipelineShape shape) {
    for (int stage = 0; stage < shape.stages; ++stage) {
      for (const char* name : {"1f1b", "zb_h1"}) {
        EXPECT_EQ(without_weight_passes(actions(schedule(name), shape, stage)),
                  bundle_by_bundle(one_forward_one_backward, shape, stage));
      }
    }
  });
}

TEST(Schedule, GpipeIsTheListOfThePaper) {
  for_every_shape([](PipelineShape shape) {
    for (int stage = 0; stage < shape.stages; ++stage) {
      EXPECT_EQ(without_weight_passes(actions(schedule("gpipe"), shape, stage)),
                bundle_by_bundle(all_forward_all_backward, shape, stage));
    }
  });
}

TEST(Schedule, StreamingIsOneForwardOneBackwardOverAllBundles) {
  for_every_shape([](PipelineShape shape) {
    const PipelineShape joined{shape.stages, shape.all_microbatches(), 1};
    for (int stage = 0; stage < shape.stages; ++stage) {
      EXPECT_EQ(without_weight_passes(actions(schedule("streamed_1f1b"), shape, stage)),
                one_forward_one_backward(joined, stage));
    }
  });
}

// Qi et al. (ICLR 2024), figure 3: the second of four stages, whose weight passes come one microbatch late.
TEST(Schedule, ZeroBubblePutsOffAsManyWeightPassesAsThereAreStagesBefore) {
  const Actions expected = {
      {Pass::forward, 0},  {Pass::forward, 1}, {Pass::forward, 2},  {Pass::backward, 0}, {Pass::forward, 3},
      {Pass::backward, 1}, {Pass::weight, 0},  {Pass::forward, 4},  {Pass::backward, 2}, {Pass::weight, 1},
      {Pass::backward, 3}, {Pass::weight, 2},  {Pass::backward, 4}, {Pass::weight, 3},   {Pass::weight, 4}};

  EXPECT_EQ(actions(schedule("zb_h1"), {4, 5, 1}, 1), expected);
}

TEST(Schedule, ZeroBubbleHoldsNoMoreThanTheFirstStageOfOneForwardOneBackward) {
  for_every_shape([](PipelineShape shape) {
    const std::int64_t first = peak_in_flight(actions(schedule("1f1b"), shape, 0));
    for (int stage = 0; stage < shape.stages; ++stage) {
      const Actions list = actions(schedule("zb_h1"), shape, stage);
      EXPECT_EQ(peak_in_flight(list), peak_in_flight(actions(schedule("1f1b"), shape, stage)));
      EXPECT_LE(peak_held(list), std::max<std::int64_t>(first, 1));
    }
  });
}

TEST(Schedule, OfOneStagePutsNothingOff) {
  const Actions expected = {{Pass::forward, 0}, {Pass::backward, 0}, {Pass::weight, 0},
                            {Pass::forward, 1}, {Pass::backward, 1}, {Pass::weight, 1}};
  for (const char* name : {"1f1b", "zb_h1", "streamed_1f1b"}) {
    EXPECT_EQ(actions(schedule(name), {1, 2, 1}, 0), expected) << name;
  }
}

TEST(Schedule, UnknownToTheCatalogueIsRefusedWithTheKnownNames) {
  try {
    schedule("1b1f");
    FAIL() << "no such schedule";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("choose one of: gpipe 1f1b zb_h1 streamed_1f1b"));
  }
}

class EverySchedule : public testing::TestWithParam<ScheduleRow> {};

TEST_P(EverySchedule, RunsWithNonBlockingSends) {
  for_every_shape([](PipelineShape shape) {
    const auto lists = actions(GetParam(), shape);
    EXPECT_EQ(problem_of(lists, shape.all_microbatches(), Sends::non_blocking), std::nullopt);
  });
}

TEST_P(EverySchedule, HoldsAsManyMicrobatchesAsItsWindowAllows) {
  for_every_shape([](PipelineShape shape) {
    const auto most = GetParam().flush == Flush::per_bundle ? shape.microbatches : shape.all_microbatches();
    for (int stage = 0; stage < shape.stages; ++stage) {
      EXPECT_EQ(peak_in_flight(actions(GetParam(), shape, stage)),
                std::min(GetParam().window(shape.stages, stage), most));
    }
  });
}

TEST_P(EverySchedule, PutsOffAsManyWeightPassesAsItMay) {
  for_every_shape([](PipelineShape shape) {
    for (int stage = 0; stage < shape.stages; ++stage) {
      // None is put off when a bundle begins; what is then in flight goes backward before the next one does.
      const std::int64_t earlier =
          GetParam().flush == Flush::per_bundle ? 0 : shape.microbatches * (shape.bundles - 1);
      const std::int64_t in_flight = std::min(GetParam().window(shape.stages, stage) - 1, earlier);
      const std::int64_t late = GetParam().most_deferred(shape.stages, stage);
      EXPECT_EQ(peak_deferred(actions(GetParam(), shape, stage)),
                std::min(late + 1, shape.microbatches + in_flight));
    }
  });
}

// As an executor does whose messages are always late.
TEST_P(EverySchedule, RunsWeightPassesWhileItWaitsButNoneBeforeItsBackward) {
  constexpr int stages = 3;
  std::vector<Actions> lists(stages);
  for (int stage = 0; stage < stages; ++stage) {
    ActionStream stream(GetParam(), stages, stage);
    const auto run = [&](Action action) { lists[std::size_t(stage)].push_back(action); };
    const auto wait = [&](std::optional<Action> waiting) {
      while (const auto weight_pass = stream.meanwhile(waiting)) run(*weight_pass);
    };
    int bundles = 0;
    while (true) {
      if (stream.wants_bundle()) {
        wait({});
        EXPECT_EQ(stream.deferred(), 0);
        bundles++ < 4 ? stream.begin_bundle(3) : stream.end();
      }
      const auto action = stream.next();
      if (!action) break;
      wait(action);
      run(*action);
    }
    EXPECT_EQ(peak_deferred(lists[std::size_t(stage)]), 1);
  }

  EXPECT_EQ(problem_of(lists, 12, Sends::non_blocking), std::nullopt);
}

TEST_P(EverySchedule, TakesBundlesOfDifferentLengths) {
  const std::vector<std::int64_t> bundles = {3, 1, 7, 2, 2, 1, 1, 12};
  const auto all = std::accumulate(bundles.begin(), bundles.end(), std::int64_t(0));

  std::vector<Actions> lists(4);
  for (int stage = 0; stage < 4; ++stage) {
    ActionStream stream(GetParam(), 4, stage);
    auto next_bundle = bundles.begin();
    while (true) {
      if (stream.wants_bundle())
        next_bundle != bundles.end() ? stream.begin_bundle(*next_bundle++) : stream.end();
      const auto action = stream.next();
      if (!action) break;
      lists[std::size_t(stage)].push_back(*action);
    }
  }

  EXPECT_EQ(problem_of(lists, all, Sends::non_blocking), std::nullopt);
}

// A drain: the end comes while microbatches are in flight, long before the sweep's own.
TEST_P(EverySchedule, DrainsWhateverIsInFlightWhenTheStreamEndsEarly) {
  ActionStream stream(GetParam(), 4, 0);
  int bundles = 0;
  std::array<int, 3> passes = {};

  while (true) {
    if (stream.wants_bundle()) bundles++ < 3 ? stream.begin_bundle(2) : stream.end();
    const auto action = stream.next();
    if (!action) break;
    ++passes[std::size_t(action->pass)];
  }

  EXPECT_THAT(passes, testing::Each(6));
  EXPECT_EQ(stream.in_flight(), 0);
  EXPECT_EQ(stream.deferred(), 0);
  EXPECT_EQ(stream.next(), std::nullopt);
}

TEST_P(EverySchedule, AsksBeforeItGuesses) {
  ActionStream stream(GetParam(), 2, 0);

  EXPECT_TRUE(stream.wants_bundle());
  EXPECT_THROW(stream.next(), BrokenPromise);
  stream.begin_bundle(4);
  EXPECT_THROW(stream.begin_bundle(1), BrokenPromise);
  EXPECT_THROW(stream.end(), BrokenPromise);
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EverySchedule, testing::ValuesIn(schedules().begin(), schedules().end()),
                         [](const auto& row) { return "named_" + std::string(row.param.name); });

// The known trap: under 1F1B two neighbours send to each other at the same moment.
TEST(Validator, FindsTheDeadlockOfBlockingSendsInOneForwardOneBackward) {
  int deadlocks = 0;
  for (int stages = 1; stages <= 8; ++stages) {
    for (std::int64_t microbatches = 1; microbatches <= 16; ++microbatches) {
      const auto lists = actions(schedule("1f1b"), {stages, microbatches, 1});
      if (problem_of(lists, microbatches, Sends::blocking_synchronous)) ++deadlocks;
    }
  }

  EXPECT_EQ(deadlocks,
            105);  // of 128 shapes, all but those of one stage or one microbatch; seen so with MPI_Ssend
}

TEST(Validator, SaysWhoWaitsForWhom) {
  const auto problem = problem_of(actions(schedule("1f1b"), {2, 2, 1}), 2, Sends::blocking_synchronous);

  EXPECT_EQ(problem,
            "deadlock: stage 0 waits to send to stage 1 (forward 1), stage 1 waits to send to stage 0 "
            "(backward 0)");
}

TEST(Validator, FindsTheSameDeadlocksInTheZeroBubbleSchedule) {
  for_every_shape([](PipelineShape shape) {
    const auto deadlocks = [&](const char* name) {
      return problem_of(actions(schedule(name), shape), shape.all_microbatches(), Sends::blocking_synchronous)
          .has_value();
    };
    EXPECT_EQ(deadlocks("zb_h1"), deadlocks("1f1b"));  // weight passes wait for nobody
  });
}

TEST(Validator, AcceptsGpipeUnderBlockingSends) {
  EXPECT_EQ(problem_of(actions(schedule("gpipe"), {4, 8, 1}), 8, Sends::blocking_synchronous), std::nullopt);
}

class BrokenLists : public testing::Test {
 protected:
  std::vector<Actions> lists = actions(schedule("1f1b"), {3, 4, 1});

  std::string problem() const { return problem_of(lists, 4, Sends::non_blocking).value_or("none"); }
};

TEST_F(BrokenLists, WithAPassTooFew) {
  lists[1].pop_back();
  EXPECT_EQ(problem(), "stage 1: 4 forward, 4 backward and 3 weight passes for 4 microbatches");
}

TEST_F(BrokenLists, WithAPassTwice) {
  lists[1].push_back({Pass::backward, 3});
  EXPECT_EQ(problem(), "stage 1: backward 3 stands where microbatch 4 is due");
}

TEST_F(BrokenLists, WithABackwardBeforeItsForward) {
  lists[2] = {{Pass::backward, 0}, {Pass::forward, 0}};
  EXPECT_EQ(problem(), "stage 2: backward 0 stands before its forward");
}

TEST_F(BrokenLists, WithAWeightPassBeforeItsBackward) {
  lists[2] = {{Pass::forward, 0}, {Pass::weight, 0}, {Pass::backward, 0}};
  EXPECT_EQ(problem(), "stage 2: weight 0 stands before its backward");
}

TEST_F(BrokenLists, WithWeightPassesThatDoNotAscend) {
  const auto at = std::ranges::find(lists[0], Action{Pass::weight, 2});
  std::iter_swap(at, std::ranges::find(lists[0], Action{Pass::weight, 3}));
  EXPECT_EQ(problem(), "stage 0: weight 3 stands where microbatch 2 is due");
}

TEST_F(BrokenLists, WithBackwardPassesThatDoNotAscend) {
  lists[0] = actions(schedule("gpipe"), {3, 4, 1}, 0);
  std::swap(lists[0][4], lists[0][5]);
  EXPECT_EQ(problem(), "stage 0: backward 1 stands where microbatch 0 is due");
}

// The last stage gathers all forwards; the first wants the first gradient before it sends the second
// activation.
TEST_F(BrokenLists, WithStagesThatWaitForEachOther) {
  lists[0] = actions(schedule("1f1b"), {1, 4, 1}, 0);
  lists[1] = lists[2] = actions(schedule("gpipe"), {3, 4, 1}, 0);
  EXPECT_EQ(problem(),
            "deadlock: stage 0 waits to receive from stage 1 (backward 0), stage 1 waits to receive from "
            "stage 0 (forward 1)");
}

}  // namespace
}  // namespace gradflow::pipeline
