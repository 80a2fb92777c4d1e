// Writes a small rectangular and a small ragged result file for the test that opens them with other programs.
// usage: store_write_sample DIRECTORY
#include <filesystem>

#include "gradflow/mpi/environment.hpp"
#include "store/sample_sweep.hpp"

int main(int argc, char** argv) {
  using namespace gradflow;
  const mpi::Environment environment(argc, argv);
  const mpi::Communicator world = mpi::Communicator::world();
  for (const bool ragged : {false, true}) {
    const store::SampleSweep sweep{.points = 6, .ragged = ragged, .run_facts = true};
    const auto path = std::filesystem::path(argv[1]) / (ragged ? "ragged.h5" : "rectangle.h5");
    auto store =
        store::ResultStore::open(world, world, path, sweep.schema(), {.launch = {{"launch_job", "42"}}});
    store::measure(store, sweep, world, 1, 0, 4);  // two points stay unfinished
    store.close();
  }
}
