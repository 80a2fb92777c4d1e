#include "rank_program.hpp"

#include <chrono>
#include <deque>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "gradflow/core/parallel.hpp"
#include "gradflow/experiment/plan.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/loss.hpp"
#include "gradflow/pipeline/executor.hpp"
#include "gradflow/pipeline/simulator.hpp"
#include "rounds.hpp"
#include "workload.hpp"

namespace gradflow::bench {
namespace {

constexpr const char* schedule_name = "streamed_1f1b";
constexpr int forward_tag = 1;
constexpr int backward_tag = 2;

struct Makespan {
  double measured_seconds = 0;
  double simulated_seconds = 0;
};

/// The costs of every stage, on rank 0. @collective
std::vector<pipeline::StageCost> gather(const mpi::Communicator& world, pipeline::StageCost mine) {
  std::vector<pipeline::StageCost> costs;
  for (const std::string& text :
       world.gather(fmt::format("{} {} {} {}", mine.forward_seconds, mine.backward_seconds,
                                mine.message_seconds, mine.weight_seconds))) {
    pipeline::StageCost& cost = costs.emplace_back();
    std::istringstream(text) >> cost.forward_seconds >> cost.backward_seconds >> cost.message_seconds >>
        cost.weight_seconds;
  }
  return costs;
}

/// Seconds from the moment all ranks begin until the last has ended. @collective
double together(const mpi::Communicator& world, const std::function<void()>& work) {
  world.barrier();
  return seconds_of([&] {
    work();
    world.barrier();
  });
}

/// Naps between two looks: there may be more ranks than cores, and a rank that waits should not hold one.
void wait_for(mpi::PendingReceive incoming) {
  while (!incoming.ready()) std::this_thread::sleep_for(std::chrono::microseconds(20));
  std::move(incoming).wait();
}

/// Half of a round trip between two neighbours.
double message_seconds(const mpi::Communicator& world, std::size_t bytes) {
  constexpr int trips = 50;
  const int neighbour = world.rank() ^ 1;
  if (neighbour >= world.size()) return 0;
  const double seconds = seconds_of([&] {
    for (int i = 0; i < trips; ++i) {
      if (world.rank() > neighbour) wait_for(world.receive(bytes, neighbour, forward_tag));
      world.send(mpi::Buffer(bytes), neighbour, forward_tag).wait();
      if (world.rank() < neighbour) wait_for(world.receive(bytes, neighbour, forward_tag));
    }
  });
  return seconds / (2 * trips);
}

double simulated(const mpi::Communicator& world, pipeline::PipelineShape shape, pipeline::StageCost mine) {
  const std::vector<pipeline::StageCost> costs = gather(world, mine);
  if (world.rank() != 0) return 0;
  return pipeline::simulate(pipeline::actions(pipeline::schedule(schedule_name), shape), costs)
      .makespan_seconds;
}

// ---- real work

constexpr pipeline::PipelineShape work_shape{.stages = 2, .microbatches = 2, .bundles = 24};
const Workload work{.width = 256, .batch = 128, .depth = 64};

/// One bundle through this rank's stage, the neighbours' signals replaced by signals of the same shape.
/// @collective
pipeline::StageCost work_cost(const mpi::Communicator& world) {
  constexpr int microbatches = int(work_shape.microbatches);
  const nn::Bundle bundle = work.bundles_of(1).front();
  const pipeline::BlockRange blocks = experiment::cut(bundle, world.size()).blocks_of(world.rank());
  std::optional<pipeline::Stage<float>> stage;
  std::vector<State<float>> outputs;
  world.barrier();
  const double forward = seconds_of([&] {
    stage.emplace(
        bundle, blocks, microbatches, observation_of("standard", work.depth), [] {},
        pipeline::Checkpointing{}, pipeline::WeightPasses::deferred);
    for (int m = 0; m < microbatches; ++m) {
      outputs.push_back(stage->forward(m, nn::input<float>(bundle, stage->rows(m))));
    }
  });
  world.barrier();
  const double backward = seconds_of([&] {
    for (int m = 0; m < microbatches; ++m) stage->backward(m, std::move(outputs[std::size_t(m)]));
  });
  const double weight = seconds_of([&] {
    for (int m = 0; m < microbatches; ++m) stage->add_weight_gradients(m);
    std::move(*stage).results();
  });
  const std::size_t bytes = sizeof(float) * std::size_t(work.batch / microbatches) * std::size_t(work.width);
  return {.forward_seconds = forward / microbatches,
          .backward_seconds = backward / microbatches,
          .message_seconds = message_seconds(world, bytes),
          .weight_seconds = weight / microbatches};
}

/// Costs drift while the pipeline runs, so they are taken before and after it.
pipeline::StageCost mean(const std::vector<pipeline::StageCost>& costs) {
  pipeline::StageCost sum{0, 0, 0};
  for (const pipeline::StageCost& cost : costs) {
    sum.forward_seconds += cost.forward_seconds / double(costs.size());
    sum.backward_seconds += cost.backward_seconds / double(costs.size());
    sum.message_seconds += cost.message_seconds / double(costs.size());
    sum.weight_seconds += cost.weight_seconds / double(costs.size());
  }
  return sum;
}

Makespan real_work(const mpi::Communicator& world) {
  const std::vector<nn::Bundle> stream(std::size_t(work_shape.bundles), work.bundles_of(1).front());
  std::vector<pipeline::StageCost> costs;
  const auto measure_costs = [&] {
    for (int i = 0; i < 4; ++i) costs.push_back(work_cost(world));
  };
  work_cost(world);
  measure_costs();
  const double measured = together(world, [&] { run(world, stream, int(work_shape.microbatches)); });
  measure_costs();
  return {measured, simulated(world, work_shape, mean(costs))};
}

// ---- timed sleeps

constexpr std::size_t small_message = 1024;  // goes out at once, without the receiver's help

void sleep_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

/// What a stage sleeps in each pass. Stages differ, so that the schedule has something to do.
pipeline::StageCost wanted_sleep(int stage) {
  return {.forward_seconds = 0.004 + 0.001 * stage, .backward_seconds = 0.008 + 0.001 * stage};
}

/// What the wanted sleeps really take while every rank sleeps. @collective
pipeline::StageCost sleep_cost(const mpi::Communicator& world) {
  constexpr int naps = 20;
  const pipeline::StageCost wanted = wanted_sleep(world.rank());
  const auto real = [](double seconds) {
    return seconds_of([=] {
             for (int i = 0; i < naps; ++i) sleep_for(seconds);
           }) /
           naps;
  };
  world.barrier();
  return {.forward_seconds = real(wanted.forward_seconds),
          .backward_seconds = real(wanted.backward_seconds),
          .message_seconds = message_seconds(world, small_message)};
}

/// Follows the schedule as the executor does, asleep instead of at work. @collective
void sleep_through(const mpi::Communicator& world, const pipeline::Actions& actions) {
  const pipeline::StageCost wanted = wanted_sleep(world.rank());
  std::deque<mpi::PendingSend> outgoing;
  for (const pipeline::Action action : actions) {
    if (action.pass == pipeline::Pass::weight) continue;  // counted in the backward pass
    const bool forward = action.pass == pipeline::Pass::forward;
    const int direction = forward ? +1 : -1;
    const int tag = forward ? forward_tag : backward_tag;
    const int from = world.rank() - direction;
    const int to = world.rank() + direction;
    if (0 <= from && from < world.size()) wait_for(world.receive(small_message, from, tag));
    sleep_for(forward ? wanted.forward_seconds : wanted.backward_seconds);
    if (0 <= to && to < world.size()) outgoing.push_back(world.send(mpi::Buffer(small_message), to, tag));
  }
  for (mpi::PendingSend& send : outgoing) std::move(send).wait();
}

Makespan sleeps(const mpi::Communicator& world) {
  const pipeline::PipelineShape shape{.stages = world.size(), .microbatches = 4, .bundles = 8};
  const pipeline::StageCost cost = sleep_cost(world);
  const pipeline::Actions actions = pipeline::actions(pipeline::schedule(schedule_name), shape, world.rank());
  const double measured = together(world, [&] { sleep_through(world, actions); });
  return {measured, simulated(world, shape, cost)};
}

}  // namespace

void run_as_rank(const mpi::Communicator& world, const std::string& kind) {
  const Makespan makespan = kind == "work" ? real_work(world) : sleeps(world);
  if (world.rank() == 0) fmt::print("{} {}\n", makespan.measured_seconds, makespan.simulated_seconds);
}

}  // namespace gradflow::bench
