#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "gradflow/mpi/communicator.hpp"
#include "gradflow/pipeline/schedule.hpp"
#include "gradflow/pipeline/stage.hpp"
#include "gradflow/pipeline/trace.hpp"

namespace gradflow::pipeline {

/// One unit of work: the points of a bundle, and how their batches are cut.
struct Job {
  nn::Bundle bundle;
  std::vector<std::uint64_t> points;  ///< indices in the sweep, as in `bundle`
  int microbatches = 1;
  Observation observation;
  Checkpointing checkpointing;  ///< of this rank's stage; the others may decide otherwise
  Parts parts;                  ///< of this rank's rows
};

/// What an executor asks of the program around it. Every rank of a group answers alike, but for `stop`.
template <class Real>
struct Assignment {
  /// The group's jobs in order; nothing after the last.
  std::function<std::optional<Job>()> next;

  /// Whether to begin no further job. Only the first stage is asked; the others hear of it from upstream.
  std::function<bool()> stop;

  /// Cuts the blocks of a bundle into stages.
  std::function<Partition(const nn::Bundle&, int stages)> partition;

  /// Takes the results of a job, in the order of the jobs.
  std::function<void(const Job&, BlockRange, std::vector<PointResult>)> done;

  /// Called often: between two blocks and while waiting for a message.
  Breather breathe;

  /// Remembers what this rank does, if there is one.
  Trace* trace = nullptr;
};

/// Runs jobs through the pipeline of one group: stage k is rank k. Follows the schedule and takes no decision
/// itself.
///
/// Sends never block. Receives are posted ahead for as many messages as the schedule lets be on their way
/// (from upstream at most 16), and messages move while a stage computes: see BetweenTasks. While a stage
/// waits for a message it adds up weight gradients that were put off. The end of the stream, early or not,
/// travels downstream as a message for each posted receive: no stage waits for work that will not come, and
/// no receive is left over. @collective over `group`
template <class Real>
void execute(const mpi::Communicator& group, const ScheduleRow& schedule, const Assignment<Real>& assignment);

}  // namespace gradflow::pipeline
