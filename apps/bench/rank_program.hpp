#pragma once

#include <string>

#include "gradflow/mpi/communicator.hpp"

namespace gradflow::bench {

/// What the ranks of the makespan section do when the bench starts itself under mpirun: run a stream of
/// bundles as a pipeline of all ranks, then simulate the same schedule at the costs measured here. Rank 0
/// prints "measured simulated", in seconds. @collective
/// @param kind  "work": networks through the executor; "sleep": timed sleeps in place of every pass
void run_as_rank(const mpi::Communicator& world, const std::string& kind);

}  // namespace gradflow::bench
