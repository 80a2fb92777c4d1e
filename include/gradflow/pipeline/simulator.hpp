#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradflow/pipeline/schedule.hpp"

namespace gradflow::pipeline {

/// What one microbatch costs one stage.
struct StageCost {
  double forward_seconds = 1;
  double backward_seconds = 2;  ///< of the input gradient alone, unless weight_seconds is 0
  double message_seconds = 0;   ///< from the end of a pass here to the arrival of its result next door
  double weight_seconds = 0;
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

/// Whether a simulation remembers every action: 40 bytes each, 94 MB for 16,384 stages and 48 microbatches.
enum class Events : std::uint8_t { keep, drop };

struct Simulation {
  double makespan_seconds = 0;
  double idle_fraction = 0;  ///< idle time over all stages and the whole makespan: the bubble
  std::vector<StageTimes> stages;
  std::vector<Event> events;  ///< in an order in which they could have been run one by one; empty if dropped
};

/// The times of all actions, in O(actions).
///
/// A stage runs its list in order; a pass starts when the one before has ended and its message is there.
/// While a stage waits for a message it runs weight passes that come later in its list, as the executor does:
/// one that has started is not interrupted. Sends do not block.
///
/// With equal stages and instant messages the idle fraction is, for P stages and K bundles of M microbatches:
/// without weight passes (P-1)/(M+P-1) for gpipe and 1f1b and (P-1)/(KM+P-1) for streamed_1f1b, whatever the
/// ratio of backward to forward cost; for zb_h1, t_F = t_B = t_W = t and M >= P, where the bubble of a bundle
/// is (P-1)(t_F+t_B-t_W), (P-1)/(3M+P-1).
/// @param lists  one per stage
/// @param costs  one per stage, or one for all
/// @pre the lists have no problem_of() with non-blocking sends
Simulation simulate(std::span<const Actions> lists, std::span<const StageCost> costs,
                    Events events = Events::keep);

}  // namespace gradflow::pipeline
