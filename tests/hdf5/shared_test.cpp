#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/file.hpp"
#include "gradflow/mpi/communicator.hpp"

namespace gradflow::hdf5 {
namespace {

namespace fs = std::filesystem;

TEST(ASharedFile, HoldsWhatEachRankWroteOnItsOwn) {
  const mpi::Communicator world = mpi::Communicator::world();
  const hsize_t ranks = hsize_t(world.size());
  const hsize_t mine = hsize_t(world.rank());
  const fs::path path = fmt::format("shared_{}.h5", ranks);
  if (mine == 0) {
    fs::remove(path);
    File file = File::create(path);
    Dataset::create<double>(file, "x", {8, 4 * ranks}, Space::unfilled);
  }
  world.barrier();

  {
    File file = File::open_shared(path, world);
    Dataset x = Dataset::open(file, "x");
    for (hsize_t turn = 0; turn < mine + 1; ++turn) {  // as many calls as the rank: nobody waits for anybody
      x.write<double>({{0, 4 * mine}, {8, 4}}, std::vector<double>(32, double(mine + 1)));
    }
    x.close();
    file.close();
  }
  world.barrier();

  const File file = File::open_read_only(path);
  for (hsize_t rank = 0; rank < ranks; ++rank) {
    EXPECT_EQ(Dataset::open(file, "x").read<double>({{0, 4 * rank}, {8, 4}}),
              std::vector<double>(32, double(rank + 1)));
  }
  world.barrier();
  if (mine == 0) fs::remove(path);
}

TEST(ASharedFile, CanBeReadByOthersWhileItIsWritten) {
  const mpi::Communicator world = mpi::Communicator::world();
  const fs::path path = fmt::format("read_{}.h5", world.size());
  if (world.rank() == 0) {
    fs::remove(path);
    Dataset::create<double>(File::create(path), "x", {4}, Space::unfilled);
  }
  world.barrier();
  File file = File::open_shared(path, world);
  Dataset x = Dataset::open(file, "x");

  if (world.rank() == 0) x.write<double>({{1}, {1}}, std::vector<double>{3.5});
  world.barrier();
  {
    const File reader = File::open_read_only(path);
    EXPECT_EQ(Dataset::open(reader, "x").read<double>({{1}, {1}}).front(), 3.5);
  }

  x.close();
  file.close();
  world.barrier();
  if (world.rank() == 0) fs::remove(path);
}

}  // namespace
}  // namespace gradflow::hdf5
