#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gradflow/experiment/forecast.hpp"

namespace gradflow::experiment {

/// One way to run a sweep, and what is to be expected of it.
struct Candidate {
  Plan plan;
  Forecast forecast;
};

/// The requests worth a forecast: each open choice of `request` closed in a few ways. Stages: powers of two,
/// the ranks a point gets if there are fewer points than ranks, and all ranks; microbatches: 1, and 1, 2 and
/// 4 per stage, as far as the batch can be cut; bundles: as large as is efficient, or small enough that every
/// stage sees several. Fewest stages first. No stage count exceeds the ranks or the shallowest network.
std::vector<Request> requests_worth_a_forecast(const sweep::Sweep& sweep, const Request& request, int ranks);

/// Forecasts of all of them.
std::vector<Candidate> candidates(const sweep::Sweep& sweep, const Request& request, int ranks,
                                  int threads_here, Forecaster& forecaster);

/// The fastest of those that fit into the memory of a rank; if none fits, the smallest. Among candidates
/// within `as_good` of the fastest the first wins: fewer stages need fewer messages, and forecasts are no
/// better.
/// @pre not empty
std::size_t best(const std::vector<Candidate>& candidates, double most_bytes_per_rank);

inline constexpr double as_good = 1.05;

}  // namespace gradflow::experiment
