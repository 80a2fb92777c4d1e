#include "gradflow/mpi/environment.hpp"

#include <cstdlib>
#include <exception>
#include <string>

#include <mpi.h>

#include "check.hpp"
#include "gradflow/mpi/agreement.hpp"
#include "rehearsal.hpp"

namespace gradflow::mpi {
namespace {

std::optional<int> number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  return std::atoi(text);
}

// Open MPI 4.1 can corrupt irregular file reads and writes with data sieving on.
void turn_off_data_sieving() {
  setenv("OMPI_MCA_fbtl_posix_read_datasieving", "0", 0);
  setenv("OMPI_MCA_fbtl_posix_write_datasieving", "0", 0);
}

int world_size() {
  int size = 0;
  check(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
  return size;
}

void require_funneled(int provided) {
  if (provided >= MPI_THREAD_FUNNELED) return;
  throw Error(
      "MPI_Init_thread: this MPI offers no MPI_THREAD_FUNNELED, which gradflow needs beside its threads");
}

}  // namespace

Environment::Environment(int& argc, char**& argv) : exceptions_at_start_(std::uncaught_exceptions()) {
  const std::optional<int> tasks = tasks_of_slurm_step();  // before MPI adds variables of its own
  require_way_to_join(tasks);
  turn_off_data_sieving();
  int provided = MPI_THREAD_SINGLE;
  check(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  try {
    on_each(Communicator::world(), [&] {
      require_funneled(provided);
      require_whole_launch(world_size(), tasks);
      read_rehearsal();
    });
  } catch (...) {
    MPI_Finalize();  // every rank of this world throws
    throw;
  }
}

Environment::~Environment() {
  if (std::uncaught_exceptions() > exceptions_at_start_) abort(1);
  MPI_Finalize();
}

int launch_rank() {
  if (const auto rank = number_in("OMPI_COMM_WORLD_RANK")) return *rank;
  return tasks_of_slurm_step() ? number_in("SLURM_PROCID").value_or(0) : 0;
}

int launch_rank_on_host() {
  if (const auto rank = number_in("OMPI_COMM_WORLD_LOCAL_RANK")) return *rank;
  return tasks_of_slurm_step() ? number_in("SLURM_LOCALID").value_or(0) : 0;
}

int launch_size() {
  if (const auto size = number_in("OMPI_COMM_WORLD_SIZE")) return *size;
  return tasks_of_slurm_step().value_or(1);
}

// mpirun inside a Slurm job starts its daemons by srun; what their variables count are nodes, not ranks.
std::optional<int> tasks_of_slurm_step() {
  if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) return std::nullopt;
  if (const auto tasks = number_in("SLURM_STEP_NUM_TASKS")) return tasks;
  return std::getenv("SLURM_STEP_ID") != nullptr ? number_in("SLURM_NTASKS") : std::nullopt;
}

void require_way_to_join([[maybe_unused]] std::optional<int> tasks) {
#ifdef OPEN_MPI
  if (!tasks || std::getenv("PMIX_NAMESPACE") != nullptr || std::getenv("PMI_FD") != nullptr) return;
  throw UserError("srun started " + std::to_string(*tasks) +
                  " processes and gave them no way to find each other; write srun --mpi=pmix (srun "
                  "--mpi=list shows what this Slurm has), or use mpirun");
#endif
}

void require_whole_launch(int world_size, std::optional<int> tasks) {
  if (!tasks || *tasks == world_size) return;
  throw UserError("srun started " + std::to_string(*tasks) + " processes, but MPI joined " +
                  std::to_string(world_size) +
                  " of them, so each would run the whole sweep for itself; write " +
                  "srun --mpi=pmix (srun --mpi=list shows what this Slurm has), or use mpirun");
}

void abort(int status) {
  MPI_Abort(MPI_COMM_WORLD, status);
  std::_Exit(status);  // MPI_Abort does not return; the compiler cannot know
}

}  // namespace gradflow::mpi
