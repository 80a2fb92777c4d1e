// Runs the tests of every rank and fails if a test failed on any of them.
#include <cstdlib>

#include <gtest/gtest.h>
#include <mpi.h>

int main(int argc, char** argv) {
  // Open MPI 4.1 can corrupt irregular file reads and writes with data sieving on.
  setenv("OMPI_MCA_fbtl_posix_read_datasieving", "0", 0);
  setenv("OMPI_MCA_fbtl_posix_write_datasieving", "0", 0);
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  testing::InitGoogleTest(&argc, argv);

  int failed = RUN_ALL_TESTS();
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  MPI_Finalize();
  return failed;
}
