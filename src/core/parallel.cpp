#include "gradflow/core/parallel.hpp"

#include <atomic>
#include <new>
#include <sched.h>
#include <utility>

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include "gradflow/core/errors.hpp"

// Under ThreadSanitizer this file alone is compiled without it, and oneTBB's templates with it
// (src/CMakeLists.txt).
#ifdef GRADFLOW_TELLS_TSAN
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#define GRADFLOW_TSAN(call) call
#else
#define GRADFLOW_TSAN(call) static_cast<void>(0)
#endif

namespace gradflow {
namespace {

thread_local BetweenTasks* between_tasks = nullptr;

/// What oneTBB orders, told to ThreadSanitizer, which does not see into oneTBB: all that was done before a
/// parallel_for comes before its tasks, and these come before what follows it, also if one of them throws.
class OrderedLoop {
 public:
  OrderedLoop() { GRADFLOW_TSAN(__tsan_release(&begun_)); }
  OrderedLoop(const OrderedLoop&) = delete;
  OrderedLoop& operator=(const OrderedLoop&) = delete;
  ~OrderedLoop() { GRADFLOW_TSAN(__tsan_acquire(&ended_)); }

  void begin_task() { GRADFLOW_TSAN(__tsan_acquire(&begun_)); }
  void end_task() { GRADFLOW_TSAN(__tsan_release(&ended_)); }

 private:
  [[maybe_unused]] char begun_ = 0;
  [[maybe_unused]] char ended_ = 0;
};

class OrderedTask {
 public:
  explicit OrderedTask(OrderedLoop& loop) : loop_(loop) { loop_.begin_task(); }
  OrderedTask(const OrderedTask&) = delete;
  OrderedTask& operator=(const OrderedTask&) = delete;
  ~OrderedTask() { loop_.end_task(); }

 private:
  OrderedLoop& loop_;
};

}  // namespace

int usable_threads() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  return CPU_COUNT(&mask);
}

struct Threads::Arena {
  /// Waits for the workers at the end of the last: else they may outlive MPI, and the process. One inside
  /// another's run() must not wait, for the workers are the other's, too.
  struct Workers {
    Workers() { ++living; }
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;
    ~Workers() {
      if (--living == 0) tbb::finalize(handle, std::nothrow);
    }

    tbb::task_scheduler_handle handle{tbb::attach{}};
    static inline std::atomic<int> living = 0;
  };

  // Both: the control lets oneTBB start as many workers, the arena lets as many of them in.
  explicit Arena(int count)
      : control(tbb::global_control::max_allowed_parallelism, std::size_t(count)), arena(count) {}

  Workers workers;
  tbb::global_control control;
  tbb::task_arena arena;
};

Threads::Threads(int count) : count_(count) {
  expect(count >= 1, "at least one thread");
  arena_ = std::make_unique<Arena>(count);
}

Threads::~Threads() = default;

void Threads::run(const std::function<void()>& work) { arena_->arena.execute(work); }

int concurrency() { return tbb::this_task_arena::max_concurrency(); }

void parallel_for(int n, const std::function<void(int)>& body) {
  if (n <= 1 || concurrency() == 1) {
    for (int i = 0; i < n; ++i) {
      body(i);
      BetweenTasks::a_task_has_ended();
    }
    return;
  }
  OrderedLoop loop;
  const auto run_range = [&](const tbb::blocked_range<int>& range) {
    const OrderedTask task(loop);
    for (int i = range.begin(); i != range.end(); ++i) {
      body(i);
      BetweenTasks::a_task_has_ended();
    }
  };
  tbb::this_task_arena::isolate(
      [&] { tbb::parallel_for(tbb::blocked_range<int>(0, n, 1), run_range, tbb::simple_partitioner()); });
}

BetweenTasks::BetweenTasks(std::function<void()> act, std::chrono::microseconds interval)
    : act_(std::move(act)), interval_(interval), outer_(std::exchange(between_tasks, this)) {}

BetweenTasks::~BetweenTasks() { between_tasks = outer_; }

void BetweenTasks::a_task_has_ended() {
  if (between_tasks == nullptr) return;
  BetweenTasks& current = *between_tasks;
  const auto now = std::chrono::steady_clock::now();
  if (now - current.last_ < current.interval_) return;
  current.last_ = now;

  struct Restore {  // also when act throws
    BetweenTasks* previous;
    ~Restore() { between_tasks = previous; }
  };
  const Restore restore{std::exchange(between_tasks, nullptr)};
  current.act_();
}

}  // namespace gradflow
