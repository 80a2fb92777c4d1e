#pragma once

#include <string>
#include <vector>

#include "gradflow/experiment/candidates.hpp"
#include "gradflow/mpi/communicator.hpp"

namespace gradflow::experiment {

/// What a decision depends on beside the sweep and the request.
struct Circumstances {
  int ranks = 1;
  int threads_here = 1;  ///< a rank can really use
  Link link;
};

/// The candidates and the one that is taken.
struct Decision {
  std::vector<Candidate> candidates;
  std::size_t chosen = 0;

  const Candidate& best() const { return candidates[chosen]; }
};

/// Whatever a request leaves open, decided by forecasts: independent points (one stage) when there are enough
/// of them, pipelines when a point is alone, or does not fit into a rank, or its weights would be generated
/// by every rank again.
/// @throws UserError as make_plan
Decision decide(const sweep::Sweep& sweep, const Request& request, const Circumstances& circumstances,
                const Costs& costs);

/// The plan of a run: rank 0 decides, since costs measured elsewhere differ, and tells the others. A request
/// that leaves no choice costs no measurement. @collective over `world`
/// @return  the same on every rank, but for notes
/// @throws UserError as make_plan, on every rank alike
Plan agree_on_plan(const mpi::Communicator& world, const sweep::Sweep& sweep, const Request& request,
                   Circumstances circumstances);

}  // namespace gradflow::experiment
