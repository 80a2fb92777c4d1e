#pragma once

#include <cstdint>
#include <span>

#include "gradflow/pipeline/schedule.hpp"
#include "gradflow/pipeline/simulator.hpp"

namespace gradflow::experiment {

/// How long a pipeline works on a stream of bundles, and which part of that its stages compute.
struct StreamTime {
  double seconds = 0;
  double utilisation = 1;  ///< 1 - idle time over all stages
  bool simulated = true;   ///< every action; otherwise a stretch, continued
};

/// Simulates the schedule's own actions: all of them if there are at most `most_actions`, otherwise a
/// stretch.
///
/// Bundles beyond those that fill the pipeline twice over add what each of the last ones added: in the steady
/// state time grows linearly. If that is still too much, the slowest of every run of neighbouring stages
/// stands for its run, and what one microbatch takes through the others and back is added.
/// @param costs  one per stage
StreamTime stream_time(const pipeline::ScheduleRow& schedule, std::int64_t microbatches, std::int64_t bundles,
                       std::span<const pipeline::StageCost> costs, std::int64_t most_actions);

}  // namespace gradflow::experiment
