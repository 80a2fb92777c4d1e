#pragma once

#include "gradflow/experiment/costs.hpp"

namespace gradflow::experiment {

/// Measures what `costs` lacks of series_of(kinds) on this machine: a few layers of real stages per shape,
/// on one thread, their data larger than a cache.
///
/// Seconds are processor time, the least of a few repetitions: other work on the machine hardly changes them.
/// About a second per precision and preset, a tenth per activation or distribution; no statistic depends on
/// it.
void measure_missing(Costs& costs, const CostKinds& kinds);

}  // namespace gradflow::experiment
