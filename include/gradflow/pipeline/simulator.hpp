#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradflow/pipeline/schedule.hpp"

namespace gradflow::pipeline {

/// What one microbatch costs one stage.
struct StageCost {
  double forward_seconds = 1;
  double backward_seconds = 2;
  double message_seconds = 0;  ///< from the end of a pass here to the arrival of its result next door
};

/// One action when it ran.
struct Event {
  int stage = 0;
  Action action;
  double start_seconds = 0;
  double end_seconds = 0;
};

/// What one stage did until the whole pipeline was done.
struct StageTimes {
  double busy_seconds = 0;
  double idle_seconds = 0;
  std::int64_t peak_in_flight = 0;
};

struct Simulation {
  double makespan_seconds = 0;
  double idle_fraction = 0;  ///< idle time over all stages and the whole makespan: the bubble
  std::vector<StageTimes> stages;
  std::vector<Event> events;  ///< in an order in which they could have been run one by one
};

/// The times of all actions, in O(actions).
///
/// A stage runs its list in order; an action starts when the one before has ended and its message is there.
/// Sends do not block. With equal stages and instant messages the idle fraction is (P-1)/(M+P-1) for gpipe
/// and 1f1b and (P-1)/(KM+P-1) for streamed_1f1b, for P stages and K bundles of M microbatches, whatever the
/// ratio of backward to forward cost.
/// @param lists  one per stage
/// @param costs  one per stage, or one for all
/// @pre the lists have no problem_of() with non-blocking sends
Simulation simulate(std::span<const Actions> lists, std::span<const StageCost> costs);

}  // namespace gradflow::pipeline
