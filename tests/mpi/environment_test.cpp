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

void open_environment() {
  int argc = 0;
  char** argv = nullptr;
  const Environment environment(argc, argv);
  int level = 0;
  MPI_Query_thread(&level);
  const bool sieving_is_off = std::string(std::getenv("OMPI_MCA_fbtl_posix_read_datasieving")) == "0" &&
                              std::string(std::getenv("OMPI_MCA_fbtl_posix_write_datasieving")) == "0";
  if (level < MPI_THREAD_FUNNELED || !sieving_is_off) std::_Exit(3);
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
