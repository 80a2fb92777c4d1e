#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gradflow/pipeline/schedule.hpp"

namespace gradflow::pipeline {

/// When a send lets its stage go on.
enum class Sends : std::uint8_t {
  non_blocking,          ///< at once, and the buffer stays with the message: what the executor does
  blocking_synchronous,  ///< when the receiver has come to the matching receive: MPI_Ssend, or MPI_Send when
                         ///< it is large
};

/// What is wrong with the lists of all stages, in one sentence; nothing if they can run. Checked are: every
/// stage runs each pass of microbatches 0, 1, ..., microbatches - 1 exactly once, each backward after its
/// forward and each weight pass after its backward, all in ascending order (messages match by order, and
/// gradients add up in it), and no stage waits for ever.
std::optional<std::string> problem_of(std::span<const Actions> lists, std::int64_t microbatches, Sends sends);

/// The most microbatches in flight in a stage that runs this list: forward done, backward not. Each keeps its
/// tapes.
std::int64_t peak_in_flight(const Actions& list);

/// The most microbatches whose weight pass is put off: backward done, weight pass not. Each keeps the input
/// and the gradient of every observed block, no more than its tapes took.
std::int64_t peak_deferred(const Actions& list);

/// The most microbatches of both kinds together: what a stage has to remember.
std::int64_t peak_held(const Actions& list);

}  // namespace gradflow::pipeline
