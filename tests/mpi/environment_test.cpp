#include "gradflow/mpi/environment.hpp"

#include <cstdlib>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::mpi {
namespace {

/// The variables of a launcher, all gone before and after each test.
class Launch : public testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }

  static void clear() {
    for (const char* name :
         {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS",
          "SLURM_NTASKS", "SLURM_PROCID", "PMIX_NAMESPACE", "PMI_FD"}) {
      unsetenv(name);
    }
  }
  static void set(const char* name, const char* value) { setenv(name, value, 1); }
};

/// What Open MPI itself believes of one of its settings, read when it started: a variable that is set later
/// does not change it.
bool setting_of_open_mpi(const char* name) {
  int level = 0, number = -1, count = 0;
  int value = 0;  // the setting is a bool and fills its first byte
  MPI_T_cvar_handle handle = MPI_T_CVAR_HANDLE_NULL;
  MPI_T_init_thread(MPI_THREAD_SINGLE, &level);
  if (MPI_T_cvar_get_index(name, &number) != MPI_SUCCESS) std::_Exit(4);
  if (MPI_T_cvar_handle_alloc(number, nullptr, &handle, &count) != MPI_SUCCESS) std::_Exit(5);
  if (MPI_T_cvar_read(handle, &value) != MPI_SUCCESS) std::_Exit(6);
  MPI_T_cvar_handle_free(&handle);
  MPI_T_finalize();
  return value != 0;
}

/// Open MPI loads its file access with the first file.
void open_a_file() {
  MPI_File file = MPI_FILE_NULL;
  const int mode = MPI_MODE_CREATE | MPI_MODE_RDWR | MPI_MODE_DELETE_ON_CLOSE;
  if (MPI_File_open(MPI_COMM_SELF, "environment_test.bin", mode, MPI_INFO_NULL, &file) != MPI_SUCCESS)
    std::_Exit(7);
  MPI_File_close(&file);
}

void open_environment() {
  int argc = 0;
  char** argv = nullptr;
  const Environment environment(argc, argv);
  int level = 0;
  MPI_Query_thread(&level);
  open_a_file();
  const bool sieving = setting_of_open_mpi("fbtl_posix_read_datasieving") ||
                       setting_of_open_mpi("fbtl_posix_write_datasieving");
  if (level < MPI_THREAD_FUNNELED || sieving) std::_Exit(3);
}

// MPI starts once in a process, so each of these runs in a child.
using Environments = Launch;

TEST_F(Environments, StartMpiWithoutDataSieving) {
  EXPECT_EXIT((open_environment(), std::exit(0)), testing::ExitedWithCode(0), "");
}

TEST_F(Environments, RefuseAProcessThatIsAloneInItsSlurmStep) {
  set("SLURM_STEP_NUM_TASKS", "4");

  const auto start = [] {
    try {
      open_environment();
    } catch (const UserError& error) {
      fprintf(stderr, "%s\n", error.what());
      std::exit(2);
    }
  };

  EXPECT_EXIT(start(), testing::ExitedWithCode(2),
              "srun started 4 processes and gave them no way .* srun --mpi=pmix");
}

TEST_F(Launch, OfSlurmNeedsAWayToJoin) {
  EXPECT_NO_THROW(require_way_to_join({})) << "nobody's step";
  EXPECT_THROW(require_way_to_join(4), UserError);
  EXPECT_THROW(require_way_to_join(1), UserError) << "Open MPI would not start either";
  set("PMIX_NAMESPACE", "slurm.pmix.7.0");
  EXPECT_NO_THROW(require_way_to_join(4));
}

TEST_F(Environments, EndTheWholeJobWhenAnExceptionLeaves) {
  const auto leak = [] {
    try {
      int argc = 0;
      char** argv = nullptr;
      const Environment environment(argc, argv);
      throw std::runtime_error("nobody caught this inside");
    } catch (const std::runtime_error&) {
      std::exit(0);  // never reached: the job has been aborted
    }
  };

  EXPECT_EXIT(leak(), testing::ExitedWithCode(1), "");
}

TEST_F(Launch, OfSrunCountsTheTasksOfTheStep) {
  set("SLURM_STEP_ID", "0");
  set("SLURM_NTASKS", "8");
  EXPECT_EQ(tasks_of_slurm_step(), 8);
  set("SLURM_STEP_NUM_TASKS", "4");
  set("SLURM_PROCID", "3");
  EXPECT_EQ(tasks_of_slurm_step(), 4);
  EXPECT_EQ(launch_rank(), 3);
}

// The batch script itself sees SLURM_NTASKS and SLURM_PROCID too, but is no step.
TEST_F(Launch, OfABatchScriptIsAProcessAlone) {
  set("SLURM_NTASKS", "8");
  set("SLURM_PROCID", "0");
  EXPECT_EQ(tasks_of_slurm_step(), std::nullopt);
  EXPECT_EQ(launch_rank(), 0);
  EXPECT_EQ(launch_size(), 1);
}

// mpirun starts one daemon per node by srun: its step counts nodes.
TEST_F(Launch, OfMpirunIgnoresTheStepOfItsDaemons) {
  set("SLURM_STEP_ID", "0");
  set("SLURM_STEP_NUM_TASKS", "2");
  set("SLURM_PROCID", "1");
  set("OMPI_COMM_WORLD_SIZE", "64");
  set("OMPI_COMM_WORLD_RANK", "40");
  EXPECT_EQ(tasks_of_slurm_step(), std::nullopt);
  EXPECT_EQ(launch_rank(), 40);
  EXPECT_EQ(launch_size(), 64);
}

TEST(WholeLaunch, IsOneWhoseProcessesAllFoundEachOther) {
  EXPECT_NO_THROW(require_whole_launch(4, 4));
  EXPECT_NO_THROW(require_whole_launch(4, std::nullopt));
  EXPECT_THROW(require_whole_launch(1, 4), UserError);
}

}  // namespace
}  // namespace gradflow::mpi
