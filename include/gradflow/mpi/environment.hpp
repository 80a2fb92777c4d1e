#pragma once

#include <optional>

namespace gradflow::mpi {

/// MPI from first to last: initialised here, finalised by the destructor.
///
/// Make one in main, on the thread that will do all communication, around the one place that catches. If an
/// exception leaves that place nevertheless, the destructor ends the whole job, because finalising alone
/// would hang.
class Environment {
 public:
  /// @throws UserError if the launcher started more processes than found each other, or a variable for
  ///                   rehearsals is no number; on every rank alike, as the next
  /// @throws CommonError if MPI offers less than MPI_THREAD_FUNNELED
  /// @throws Error     if MPI does not start
  Environment(int& argc, char**& argv);
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment();

 private:
  int exceptions_at_start_;
};

/// This process's place in its launch as the launcher tells it, known without MPI: 0 may speak to the user.
int launch_rank();

/// The same among the processes of this host.
int launch_rank_on_host();

/// Processes of this launch, as the launcher tells it: 1 without one.
int launch_size();

/// Processes of the Slurm step this process was started in by srun; none if mpirun or nobody started it.
std::optional<int> tasks_of_slurm_step();

/// Open MPI that srun told nothing would end with pages of its own text.
/// @throws UserError if srun started `tasks` processes and left no variable by which they could join
void require_way_to_join(std::optional<int> tasks);

/// @throws UserError if srun started `tasks` processes and MPI sees another number ("silent singletons": each
/// process a world of its own, all of them writing one file)
void require_whole_launch(int world_size, std::optional<int> tasks);

/// Ends every process of the job now, with this exit status.
[[noreturn]] void abort(int status);

}  // namespace gradflow::mpi
