#include "gradflow/pipeline/executor.hpp"

#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include "measured.hpp"
#include "nn/networks.hpp"

namespace gradflow::pipeline {
namespace {

using nn::Widths;

// Every send waits for its receiver, and comes late. Both variables are read at the first send, so they are
// set before main.
const bool rehearsal_is_set = [] {
  setenv("GRADFLOW_SYNCHRONOUS_SENDS", "1", 1);
  setenv("GRADFLOW_SEND_DELAY_MICROSECONDS", "300", 1);
  return true;
}();

Job job_of(nn::Bundle bundle, int microbatches) {
  Job job;
  job.bundle = std::move(bundle);
  job.microbatches = microbatches;
  for (std::size_t i = 0; i < job.bundle.size(); ++i) job.points.push_back(i);
  job.observation = everything_of(job.bundle);
  return job;
}

/// Of different depth, width, batch, loss, and number of points and microbatches. None is shallower than 4,
/// but for points that share a bundle with a deeper one.
const std::vector<Job>& jobs() {
  static const std::vector<Job> all = [] {
    const auto point = [](Widths widths, const char* phi, double sigma_w, double sigma_b, int batch) {
      return nn::with_batch(nn::network(std::move(widths), phi, sigma_w, sigma_b), batch);
    };
    const Widths wide = Widths::uniform(4, 50), unequal = Widths::listed({10, 100, 48, 32, 16, 5});
    std::vector<Job> list;
    list.push_back(job_of({point(Widths::uniform(7, 16), "tanh", 1.3, 0.2, 40)}, 2));
    list.push_back(job_of({point(wide, "relu", 1.4, 0, 8), point(wide, "gelu", 0.3, 1, 130)}, 4));
    list.push_back(job_of({point(Widths::uniform(13, 5), "sigmoid", 1, 0, 1)}, 1));
    list.push_back(job_of({nn::with_loss(point(unequal, "elu", 1e30, 0.1, 100), "mse"),
                           nn::with_loss(point(unequal, "selu", 1e-30, 0.1, 33), "mse")},
                          3));
    list.push_back(job_of({point(Widths::uniform(4, 200), "linear", 1, 0, 17)}, 1));
    list.push_back(job_of({point(Widths::uniform(9, 32), "silu", 2, 0.5, 160)}, 5));
    list.push_back(job_of({point(Widths::uniform(12, 32), "tanh", 1.3, 0.2, 40),
                           point(Widths::uniform(7, 32), "relu", 1.4, 0, 130),
                           point(Widths::uniform(3, 32), "gelu", 2, 0.1, 200),
                           point(Widths::uniform(1, 32), "sigmoid", 1, 0, 1)},
                          6));
    list.push_back(job_of({nn::with_loss(point(Widths::uniform(12, 32), "tanh", 1.1, 0, 32), "mse"),
                           nn::with_loss(point(Widths::uniform(3, 32), "tanh", 1.2, 0, 64), "mse"),
                           nn::with_loss(point(Widths::uniform(3, 32), "tanh", 1.3, 0, 32), "mse")},
                          1));
    return list;
  }();
  return all;
}

/// What a job gives in one stage and one microbatch, without messages.
template <class Real>
const std::vector<PointResult>& alone(const Job& job) {
  static std::map<const Job*, std::vector<PointResult>> known;
  const auto [place, is_new] = known.try_emplace(&job);
  if (is_new) place->second = measure<Real>(job.bundle);
  return place->second;
}

using Cut = Partition (*)(const nn::Bundle&, int stages);

Partition even(const nn::Bundle& bundle, int stages) {
  return Partition::uniform(bundle.front().depth(), stages);
}
Partition rising(const nn::Bundle& bundle, int stages) {
  std::vector<double> cost(std::size_t(bundle.front().depth()));
  std::iota(cost.begin(), cost.end(), 1);
  return Partition::balanced(cost, stages);
}
Partition falling(const nn::Bundle& bundle, int stages) {
  std::vector<double> cost(std::size_t(bundle.front().depth()));
  std::iota(cost.rbegin(), cost.rend(), 1);
  return Partition::balanced(cost, stages);
}

/// One rank's part of a stream of jobs.
template <class Real>
struct Stream {
  Stream(const mpi::Communicator& group, const ScheduleRow& schedule, Cut cut, const std::vector<Job>& work,
         std::size_t stop_after = 1000, Trace* trace = nullptr) {
    std::size_t next = 0;
    Assignment<Real> assignment;
    assignment.next = [&]() -> std::optional<Job> {
      if (next == work.size()) return {};
      return work[next++];
    };
    assignment.stop = [&] {
      ++questions;
      return begun++ == stop_after;
    };
    assignment.partition = cut;
    assignment.done = [&](const Job& job, BlockRange blocks, std::vector<PointResult> results) {
      EXPECT_EQ(job.bundle.size(), work[done.size()].bundle.size());
      EXPECT_EQ(blocks, cut(job.bundle, group.size()).blocks_of(group.rank()));
      done.push_back({blocks, std::move(results)});
    };
    assignment.breathe = [&] { ++breaths; };
    assignment.trace = trace;
    execute<Real>(group, schedule, assignment);
  }

  struct Done {
    BlockRange blocks;
    std::vector<PointResult> results;
  };
  std::vector<Done> done;
  std::size_t begun = 0;
  int questions = 0;
  int breaths = 0;
};

template <class Real>
void expect_as_alone(const Stream<Real>& stream, const std::vector<Job>& work) {
  for (std::size_t i = 0; i < stream.done.size(); ++i) {
    const auto& [blocks, results] = stream.done[i];
    SCOPED_TRACE(testing::Message() << "job " << i << ", blocks " << blocks.first << " to " << blocks.end);
    ASSERT_EQ(results.size(), work[i].bundle.size());
    for (std::size_t point = 0; point < results.size(); ++point) {
      const int depth = work[i].bundle[point].depth();
      ASSERT_EQ(results[point].rows.rows(), std::max(0, std::min(blocks.end, depth) - blocks.first));
      if (depth <= blocks.first) continue;
      expect_same_statistics(results[point], alone<Real>(work[i])[point], blocks.first);
    }
  }
}

/// No message waits for a receiver. @collective
void expect_no_message_left_over(const mpi::Communicator& group) {
  group.barrier();
  int found = 0;
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, group.handle(), &found, MPI_STATUS_IGNORE);
  EXPECT_EQ(found, 0);
}

class EverySchedule : public testing::TestWithParam<std::string_view> {
 protected:
  const mpi::Communicator group = mpi::Communicator::world();
  const ScheduleRow& row = schedule(GetParam());
};

TEST_P(EverySchedule, MeasuresWhatOneStageMeasuresWhereverTheNetworksAreCut) {
  for (const Cut cut : {even, rising, falling}) {
    const Stream<float> stream(group, row, cut, jobs());

    EXPECT_EQ(stream.done.size(), jobs().size());
    expect_as_alone(stream, jobs());
  }
  expect_no_message_left_over(group);
}

TEST_P(EverySchedule, MeasuresTheSameInFloat64) {
  const Stream<double> stream(group, row, even, jobs());

  EXPECT_EQ(stream.done.size(), jobs().size());
  expect_as_alone(stream, jobs());
}

TEST_P(EverySchedule, EndsEarlyOnEveryStageAfterTheJobsThatBegan) {
  for (std::size_t stop_after = 0; stop_after < jobs().size(); ++stop_after) {
    const Stream<float> stream(group, row, even, jobs(), stop_after);

    EXPECT_EQ(stream.done.size(), stop_after);
    expect_as_alone(stream, jobs());
    EXPECT_EQ(stream.questions, group.rank() == 0 ? int(stop_after) + 1 : 0);  // the others hear of it
  }
  expect_no_message_left_over(group);
}

TEST_P(EverySchedule, LeavesNothingBehindThatTheNextStreamCouldMistakeForItsOwn) {
  const std::vector<Job> none, one{jobs()[2]};

  EXPECT_EQ(Stream<float>(group, row, even, none).done.size(), 0u);
  EXPECT_EQ(Stream<float>(group, row, even, jobs(), 3).done.size(), 3u);
  EXPECT_EQ(Stream<double>(group, row, even, none).done.size(), 0u);
  EXPECT_EQ(Stream<float>(group, row, even, one).done.size(), 1u);
  const Stream<float> last(group, row, rising, jobs());

  EXPECT_EQ(last.done.size(), jobs().size());
  expect_as_alone(last, jobs());
  expect_no_message_left_over(group);
}

TEST_P(EverySchedule, BreathesWhileItWorksAndWhileItWaits) {
  const Stream<float> stream(group, row, even, jobs());

  int blocks = 0;
  for (const auto& done : stream.done) blocks += done.blocks.size();
  EXPECT_GE(stream.breaths, 3 * blocks);  // weights, forward and backward, once per block at the least
}

TEST_P(EverySchedule, TracesEveryPassOnceAndDoesOneThingAtATime) {
  Trace trace(0, group.rank(), 10'000);
  const Stream<float> stream(group, row, even, jobs(), 1000, &trace);

  int microbatches = 0;
  for (const Job& job : jobs()) microbatches += job.microbatches;
  std::set<std::tuple<Activity, const void*, std::int64_t>> passes;
  double end = 0;
  int generated = 0;
  for (const TraceEvent& event : trace.events()) {
    EXPECT_GE(event.start_seconds, end);  // events are added as they end
    EXPECT_GE(event.end_seconds, event.start_seconds);
    end = event.end_seconds;
    EXPECT_EQ(event.rank, group.rank());
    if (event.activity == Activity::generate) ++generated;
    if (event.microbatch < 0) continue;
    EXPECT_TRUE(passes.insert({event.activity, event.points.get(), event.microbatch}).second);
    if (event.activity == Activity::forward) continue;
    const Activity before = Activity(int(event.activity) - 1);
    EXPECT_TRUE(passes.contains({before, event.points.get(), event.microbatch}));
  }
  EXPECT_EQ(passes.size(), std::size_t(3 * microbatches));
  EXPECT_EQ(generated, int(jobs().size()));
}

/// sin of z_3 above 2^24, where the fan-out falls from 1024 to 8; glorot keeps z_1 and z_2 half as large.
nn::NetworkSpec without_phase_at_layer_3(int batch) {
  nn::NetworkSpec spec =
      nn::with_batch(nn::network(Widths::listed({32, 256, 1024, 8, 8, 8, 8}), "sin", 1), batch);
  spec.init = nn::Initialisation::make("glorot_normal", {}, {}, std::ldexp(1 / 2.2, 24));
  return spec;
}

TEST_P(EverySchedule, TellsEveryStageOfAFailureOnTheWayForwardWhereverItHappened) {
  const std::vector<Job> work{job_of({jobs()[0].bundle[0]}, 2), job_of({without_phase_at_layer_3(70)}, 3),
                              job_of({nn::with_batch(nn::network(Widths::uniform(4, 50), "relu", 1), 40),
                                      nn::with_batch(nn::network(Widths::uniform(4, 50), "sin", 1e9), 40)},
                                     2),
                              job_of({jobs()[2].bundle[0]}, 1)};
  const Failure expected = measure<float>(work[1].bundle).front().failure;
  EXPECT_EQ(expected.code, FailureCode::phase_lost);
  EXPECT_EQ(expected.layer, 3);

  for (const Cut cut : {even, rising, falling}) {
    const Stream<float> stream(group, row, cut, work);

    ASSERT_EQ(stream.done.size(), 4u);
    EXPECT_EQ(stream.done[0].results[0].failure, Failure{});
    EXPECT_EQ(stream.done[1].results[0].failure, expected);
    EXPECT_EQ(stream.done[2].results[0].failure, Failure{});
    EXPECT_EQ(stream.done[2].results[1].failure, (Failure{FailureCode::phase_lost, 1, 0}));
    EXPECT_EQ(stream.done[3].results[0].failure, Failure{});
    expect_same_statistics(stream.done[0].results[0], alone<float>(jobs()[0])[0],
                           stream.done[0].blocks.first);
  }
  expect_no_message_left_over(group);
}

TEST_P(EverySchedule, TellsTheFirstStageOfAFailureOnTheWayBack) {
  // tanh' = e^(-10^12) has no exponent at layer 6: found where the cotangent of layer 7 arrives.
  const std::vector<Job> work{
      job_of({nn::with_batch(nn::network(Widths::uniform(7, 4), "tanh", 1e12), 40)}, 2)};
  const Failure expected = measure<float>(work[0].bundle).front().failure;
  EXPECT_EQ(expected, (Failure{FailureCode::exponent_overflow, 6, 0}));

  for (const Cut cut : {even, rising, falling}) {
    const Stream<float> stream(group, row, cut, work);

    const Failure found = stream.done.at(0).results[0].failure;
    const bool is_above = stream.done[0].blocks.first >= 6;  // nothing comes its way again
    EXPECT_EQ(found, is_above && group.rank() > 0 ? Failure{} : expected);
  }
}

std::vector<std::string_view> schedule_names() {
  std::vector<std::string_view> names;
  for (const ScheduleRow& row : schedules()) names.push_back(row.name);
  return names;
}
std::string name_of(const testing::TestParamInfo<std::string_view>& info) {
  return "schedule_" + std::string(info.param);
}
INSTANTIATE_TEST_SUITE_P(Catalogue, EverySchedule, testing::ValuesIn(schedule_names()), name_of);

}  // namespace
}  // namespace gradflow::pipeline
