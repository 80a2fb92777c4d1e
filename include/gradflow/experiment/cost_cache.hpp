#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "gradflow/experiment/costs.hpp"

namespace gradflow::experiment {

/// Where this user's measured costs are kept: $XDG_CACHE_HOME/gradflow/costs.json, else
/// ~/.cache/gradflow/costs.json; empty if neither variable is set.
std::filesystem::path cost_cache_file();

/// Costs kept for this machine (NumericsIdentity::text(): version, BLAS and its kernels, instruction set; and
/// the model of the processor); none if the file is missing, cannot be understood, or was written on another.
Costs read_costs(const std::filesystem::path& file, const std::string& machine);

/// Replaces the file, by a rename, so that a reader never meets half of it.
/// @return  why it could not be written, if so: a note, not an error
std::optional<std::string> write_costs(const std::filesystem::path& file, const std::string& machine,
                                       const Costs& costs);

/// The costs of these kinds on this machine, from the cache as far as it knows them; what is measured is
/// kept.
/// @param measure_again  whatever the cache says
/// @param kinds  cost_kinds() of a sweep
/// @param notes  gets what the user should know
Costs costs_for(const std::vector<CostKinds>& kinds, bool measure_again, std::vector<std::string>& notes);

}  // namespace gradflow::experiment
