#include <chrono>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

#include "gradflow/mpi/communicator.hpp"

namespace gradflow::mpi {
namespace {

using std::chrono::steady_clock;

// Both variables are read at the first send of the process, so they are set before main.
const bool rehearsal_is_set = [] {
  setenv("GRADFLOW_SYNCHRONOUS_SENDS", "1", 1);
  setenv("GRADFLOW_SEND_DELAY_MICROSECONDS", "2000", 1);
  return true;
}();

TEST(Rehearsal, CompletesASendOnlyWhenItsReceiverHasBegun) {
  const Communicator world = Communicator::world();
  const int peer = 1 - world.rank();

  PendingSend out = world.send(Buffer(1), peer, 0);  // one byte, which would otherwise go at once
  world.barrier();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(out.ready());
  world.barrier();

  EXPECT_EQ(world.receive(1, peer, 0).wait().size(), 1u);
  std::move(out).wait();
}

TEST(Rehearsal, DelaysSendsByRandomTimes) {
  const Communicator world = Communicator::world();
  const int peer = 1 - world.rank();

  const auto start = steady_clock::now();
  for (int i = 0; i < 50; ++i) {
    PendingSend out = world.send(Buffer(1), peer, 0);
    world.receive(1, peer, 0).wait();
    std::move(out).wait();
  }

  // 50 delays of 1 ms in the mean with a standard deviation of 0.6 ms each: 50 ms, less six standard errors
  // of 4 ms.
  EXPECT_GT(steady_clock::now() - start, std::chrono::milliseconds(26));
}

}  // namespace
}  // namespace gradflow::mpi
