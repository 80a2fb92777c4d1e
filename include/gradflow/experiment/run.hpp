#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "gradflow/experiment/plan.hpp"
#include "gradflow/mpi/communicator.hpp"
#include "gradflow/sweep/sweep.hpp"

namespace gradflow::experiment {

/// One of several parts of a sweep, each measured by a job of its own into a file of its own: its points are
/// those a group would get among `of` groups of one rank, so the parts cost about the same. Depends on the
/// sweep only.
struct Shard {
  int number = 1;  ///< from 1
  int of = 1;
};

struct RunOptions {
  std::filesystem::path output;
  bool allow_mixed_numerics = false;
  bool retry_failed = false;  ///< measure points again that failed
  Shard shard = {};
  std::filesystem::path trace;  ///< where every action of every rank goes, as a timeline; empty: nowhere
  /// Whether to begin no further point. Asked often: between points on the first stage of each group, and on
  /// every rank, which then writes at once what is finished, because somebody may be about to kill it.
  std::function<bool()> stop = [] { return false; };
  /// Time until the run must have ended, if that is limited. A point begins only if 1.5 times its predicted
  /// time and one commit still fit. Asked on the first stage of each group.
  std::optional<std::function<double()>> seconds_left = std::nullopt;
  /// Told how many points of the whole sweep are finished, on rank 0, as often as it changes and at least
  /// every second.
  std::function<void(std::uint64_t finished, std::uint64_t points)> progress = [](std::uint64_t,
                                                                                  std::uint64_t) {};
};

/// What has become of a sweep.
struct Outcome {
  std::uint64_t points = 0;    ///< of this shard, as all that follow
  std::uint64_t done = 0;      ///< in the file now, from earlier launches too
  std::uint64_t failed = 0;    ///< tried and failed, ever
  std::uint64_t measured = 0;  ///< finished by this launch

  bool complete() const noexcept { return done + failed == points; }
};

/// Measures every unfinished point of the sweep into the result file. Call it inside Threads::run().
/// @collective over `world`
/// @return the same on every rank
/// @throws UserError   as store::ResultStore::open(), if the ranks' numerics differ, for more than 1e8
/// points,
///                     for a file larger than the free space, a memory limit below one layer's need, and a
///                     trace that cannot be written; on every rank alike
/// @throws CommonError as store::ResultStore::open()
/// @throws Error       on a rank that can no longer write
Outcome run(const mpi::Communicator& world, const sweep::Sweep& sweep, const Plan& plan,
            const RunOptions& options);

}  // namespace gradflow::experiment
