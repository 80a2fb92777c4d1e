#include "gradflow/core/parallel.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"

namespace gradflow {
namespace {

TEST(UsableThreads, AreAtLeastOneAndAtMostTheMachines) {
  EXPECT_GE(usable_threads(), 1);
  EXPECT_LE(usable_threads(), int(std::thread::hardware_concurrency()));
}

TEST(Threads, AreAtLeastOne) { EXPECT_THROW(Threads(0), BrokenPromise); }

class EveryThreadCount : public testing::TestWithParam<int> {};

TEST_P(EveryThreadCount, CallsEveryIndexOnce) {
  Threads threads(GetParam());
  std::vector<std::atomic<int>> calls(1000);

  threads.run([&] { parallel_for(1000, [&](int i) { ++calls[std::size_t(i)]; }); });

  EXPECT_THAT(calls, testing::Each(testing::Eq(1)));
}

TEST_P(EveryThreadCount, RunsTheWorkOnTheCallingThread) {
  Threads threads(GetParam());
  std::thread::id worker;

  threads.run([&] { worker = std::this_thread::get_id(); });

  EXPECT_EQ(worker, std::this_thread::get_id());
}

TEST_P(EveryThreadCount, UsesNoMoreThreadsThanItWasGiven) {
  Threads threads(GetParam());
  std::mutex mutex;
  std::set<std::thread::id> seen;

  threads.run([&] {
    parallel_for(200, [&](int) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      const std::scoped_lock lock(mutex);
      seen.insert(std::this_thread::get_id());
    });
    EXPECT_EQ(concurrency(), GetParam());
  });

  EXPECT_LE(int(seen.size()), GetParam());
  EXPECT_EQ(threads.count(), GetParam());
}

TEST_P(EveryThreadCount, HandsAnExceptionToTheCaller) {
  Threads threads(GetParam());
  const auto work = [] {
    parallel_for(100, [](int i) {
      if (i == 37) throw UserError("thirty-seven");
    });
  };

  EXPECT_THROW(threads.run(work), UserError);
}

TEST_P(EveryThreadCount, DoesNothingForNoIndices) {
  Threads threads(GetParam());

  threads.run([] { parallel_for(0, [](int) { FAIL(); }); });
}

// A thread that waits for an inner loop must not start another task of the outer one: its scratch memory is
// in use.
TEST_P(EveryThreadCount, KeepsAWaitingThreadOutOfOuterTasks) {
  static thread_local bool scratch_in_use = false;
  Threads threads(GetParam());
  std::atomic<int> intrusions = 0;

  threads.run([&] {
    parallel_for(50, [&](int) {
      if (scratch_in_use) ++intrusions;
      scratch_in_use = true;
      parallel_for(20, [](int) { std::this_thread::sleep_for(std::chrono::microseconds(20)); });
      scratch_in_use = false;
    });
  });

  EXPECT_EQ(intrusions, 0);
}

INSTANTIATE_TEST_SUITE_P(Counts, EveryThreadCount, testing::Values(1, 2, 3),
                         [](const auto& count) { return "threads_" + std::to_string(count.param); });

TEST(Threads, ReallyRunAtTheSameTime) {
  Threads threads(2);
  std::atomic<int> arrived = 0;

  threads.run([&] {
    parallel_for(2,
                 [&](int) {  // each waits for the other; ten seconds, then the test fails instead of hanging
                   ++arrived;
                   const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
                   while (arrived < 2 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
                   EXPECT_EQ(arrived, 2);
                 });
  });
}

constexpr std::chrono::microseconds always{0};

void nap(int) { std::this_thread::sleep_for(std::chrono::microseconds(20)); }

TEST_P(EveryThreadCount, LetsOneThreadDoSomethingBetweenItsTasks) {
  const std::thread::id caller = std::this_thread::get_id();
  int calls = 0;
  Threads threads(GetParam());
  threads.run([&] {
    const BetweenTasks between(
        [&] {
          ++calls;
          EXPECT_EQ(std::this_thread::get_id(), caller);
        },
        always);
    parallel_for(500, nap);
  });

  EXPECT_GT(calls, 0);
  EXPECT_LE(calls, 500);
}

TEST(BetweenTasks, WaitsForItsInterval) {
  const auto start = std::chrono::steady_clock::now();
  int calls = 0;
  const BetweenTasks between([&] { ++calls; }, std::chrono::milliseconds(2));

  parallel_for(500, nap);

  EXPECT_LE(calls, (std::chrono::steady_clock::now() - start) / std::chrono::milliseconds(2));
  EXPECT_GT(calls, 0);  // 500 naps take 10 ms at the least
}

TEST(BetweenTasks, DoesNotInterruptItself) {
  int calls = 0, depth = 0;
  const BetweenTasks between(
      [&] {
        EXPECT_EQ(depth++, 0);
        parallel_for(3, [](int) {});
        --depth;
        ++calls;
      },
      always);

  Threads(1).run([] { parallel_for(10, [](int) {}); });

  EXPECT_EQ(calls, 10);
}

TEST(BetweenTasks, EndsWithItsObject) {
  int inner = 0, outer = 0;
  Threads(1).run([&] {
    const BetweenTasks first([&] { ++outer; }, always);
    {
      const BetweenTasks second([&] { ++inner; }, always);
      parallel_for(3, [](int) {});
    }
    parallel_for(4, [](int) {});
  });

  EXPECT_EQ(inner, 3);
  EXPECT_EQ(outer, 4);
}

TEST(BetweenTasks, PassesItsExceptionToTheCallerAndGoesOn) {
  int calls = 0;
  const BetweenTasks between(
      [&] {
        if (++calls == 1) throw std::runtime_error("late message");
      },
      always);

  EXPECT_THROW(Threads(1).run([] { parallel_for(5, [](int) {}); }), std::runtime_error);
  Threads(1).run([] { parallel_for(5, [](int) {}); });

  EXPECT_EQ(calls, 6);
}

}  // namespace
}  // namespace gradflow
