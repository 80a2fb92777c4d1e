#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gradflow/experiment/network.hpp"
#include "gradflow/experiment/plan.hpp"
#include "gradflow/pipeline/checkpointing.hpp"

namespace gradflow::experiment {

/// Resident bytes of one rank at its peak, by what they are for, and the decision they follow from.
struct MemoryUse {
  double process = 0;     ///< the program and its libraries, before any point
  double network = 0;     ///< weights, tapes, kept signals
  double gradients = 0;   ///< sums over microbatches, and what is at work at one time
  double statistics = 0;  ///< rows of the points at work, and of those not yet written
  double theory = 0;
  pipeline::Checkpointing checkpointing;

  double total() const noexcept { return process + network + gradients + statistics + theory; }
};

/// What stage `stage` of `stages` holds of bundles like this one: as much as is useful and fits into the
/// plan's budget, or as little as possible if nothing fits.
/// @param precision  of signals and weights
MemoryUse memory_of(const nn::Bundle& bundle, Precision precision, const Plan& plan, int stages, int stage);

/// Points like this one that are stacked: as many as make products efficient, as long as the pipeline stays
/// full and their signals stay within a gibibyte; fewer if the budget then asks for fewer extra operations.
int bundled_points(const Plan& plan, const nn::NetworkSpec& network, Precision precision);

/// The largest use over the sweep, on the first stage of the pipeline that needs most for it.
struct LargestUse {
  std::uint64_t point = 0;
  int stacked = 1;  ///< points that share a bundle with it
  MemoryUse use;
};
LargestUse largest_use(const sweep::Sweep& sweep, const Plan& plan);

/// Whether the first stage of a pipeline needs more for this bundle than the plan's budget, even if it keeps
/// as little as possible.
bool is_too_large(const nn::Bundle& bundle, Precision precision, const Plan& plan, int stages);

/// The largest use if some points need more than the plan's budget and others do not: these can be measured.
/// @throws UserError if the budget is too small for every point, saying what the largest needs
std::optional<LargestUse> too_large_points(const sweep::Sweep& sweep, const Plan& plan);

/// What a user should know of too_large_points(), if there are any. @throws UserError as these
std::vector<std::string> notes_on_memory(const sweep::Sweep& sweep, const Plan& plan);

}  // namespace gradflow::experiment
