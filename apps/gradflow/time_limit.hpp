#pragma once

#include <functional>
#include <optional>
#include <string>

namespace gradflow::apps {

/// Seconds until this run must have ended: --max-time, counted from the start of the process, or the end of
/// the Slurm job (SLURM_JOB_END_TIME) if that is earlier; nothing if there is neither.
/// @throws UserError for a time that is none
std::optional<std::function<double()>> time_limit(const std::optional<std::string>& max_time);

}  // namespace gradflow::apps
