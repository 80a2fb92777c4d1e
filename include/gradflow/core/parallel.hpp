#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace gradflow {

/// CPUs in this process's affinity mask: how many threads can really run at the same time.
int usable_threads();

/// The threads of one rank. Only what runs inside run() uses them; there is one object per process.
///
/// The calling thread takes part and keeps its identity, so code inside run() may still call MPI (funneled).
class Threads {
 public:
  /// @pre count >= 1; more than usable_threads() is allowed and slow
  explicit Threads(int count);
  ~Threads();

  int count() const noexcept { return count_; }

  /// Runs `work` on the calling thread; every parallel_for inside it is shared by `count` threads.
  void run(const std::function<void()>& work);

 private:
  struct Arena;
  int count_;
  std::unique_ptr<Arena> arena_;
};

/// Threads that share the work of a parallel_for called here: for the size of slices, never for the shape of
/// a sum.
int concurrency();

/// Calls body(0) ... body(n - 1), each once, in any order, on the threads of the enclosing Threads::run().
///
/// Every index is one task and there is no reduction: write result i to place i and add the results up in
/// index order afterwards, then nothing depends on the number of threads. A thread that waits here takes up
/// no other work, so scratch memory of an enclosing task stays its own. The first exception of a body is
/// thrown to the caller.
void parallel_for(int n, const std::function<void(int)>& body);

/// As long as it lives, the thread that made it calls `act` between its own tasks of a parallel_for, at most
/// once per interval. For what has to be looked after by this very thread while a long computation runs, such
/// as messages under MPI_THREAD_FUNNELED.
///
/// `act` may call parallel_for, which then runs without it. The last one made counts.
class BetweenTasks {
 public:
  explicit BetweenTasks(std::function<void()> act,
                        std::chrono::microseconds interval = std::chrono::microseconds(250));
  BetweenTasks(const BetweenTasks&) = delete;
  BetweenTasks& operator=(const BetweenTasks&) = delete;
  ~BetweenTasks();

 private:
  friend void parallel_for(int n, const std::function<void(int)>& body);
  static void a_task_has_ended();

  std::function<void()> act_;
  std::chrono::microseconds interval_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  BetweenTasks* outer_;
};

}  // namespace gradflow
