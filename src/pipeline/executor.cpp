#include "gradflow/pipeline/executor.hpp"

#include <algorithm>
#include <deque>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "gradflow/core/parallel.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/loss.hpp"
#include "mailbox.hpp"
#include "packet.hpp"

namespace gradflow::pipeline {
namespace {

constexpr int forward_tag = 1;
constexpr int backward_tag = 2;

/// Receives posted ahead from upstream, at most: a message beyond them waits at its sender, which goes on.
constexpr std::int64_t most_posted = 16;

/// Messages that stage `sender` may have sent downstream before it hears back; as many receives are posted.
std::size_t messages_ahead(const ScheduleRow& schedule, int stages, int sender) {
  return std::size_t(std::min(schedule.window(stages, sender), most_posted));
}

/// Of the state between block `blocks_before` and the next, on its way downstream.
Shapes state_shapes(const nn::Bundle& bundle, int blocks_before, const Stack& rows) {
  Shapes shapes;
  for (const int width : nn::state_widths(bundle.front(), blocks_before)) {
    shapes.push_back({rows_of(rows), width});
  }
  return shapes;
}

/// A job to come, and this stage's part of it.
struct UpcomingJob {
  Job job;
  BlockRange blocks;
};

/// A job this stage has begun and not yet finished.
template <class Real>
struct ActiveJob {
  Job job;
  std::int64_t number = 0;            ///< of the group's jobs
  std::int64_t first_microbatch = 0;  ///< in the stream
  BlockRange blocks;
  Stage<Real> stage;
  TracedPoints points = nullptr;

  Shapes input_shapes(int microbatch) const {
    return state_shapes(job.bundle, blocks.first, stage.rows(microbatch));
  }
  /// Of what comes back from downstream: a gradient of each signal, and what is summed over the blocks.
  Shapes gradient_shapes(int microbatch) const {
    Shapes shapes = state_shapes(job.bundle, blocks.end, stage.rows_sent(microbatch));
    shapes.insert(shapes.end(), std::size_t(tied_sums(job.bundle, job.observation)),
                  nn::TiedGradient<Real>::packed_shape(job.bundle));
    return shapes;
  }
};

template <class Real>
class Executor {
 public:
  Executor(const mpi::Communicator& group, const ScheduleRow& schedule, const Assignment<Real>& assignment)
      : group_(group),
        schedule_(schedule),
        assignment_(assignment),
        actions_(schedule, group.size(), group.rank()),
        from_upstream_(group, group.rank() - 1, forward_tag),
        from_downstream_(group, group.rank() + 1, backward_tag) {}

  void run() {
    const BetweenTasks polling([this] { progress_messages(); });
    if (!is_first()) {
      const std::size_t ahead = messages_ahead(schedule_, group_.size(), group_.rank() - 1);
      while (from_upstream_.posted() < ahead) post_upstream();
    }
    while (true) {
      if (actions_.wants_bundle()) {
        begin_next_job_or_end();
        continue;
      }
      const std::optional<Action> action = actions_.next();
      if (!action) break;
      act(*action);
      breathe();
    }
    while (from_upstream_.posted() > 0) receive(from_upstream_, {});  // the end of the stream, again
    while (!outbox_.empty()) breathe();
  }

 private:
  bool is_first() const { return group_.rank() == 0; }
  bool is_last() const { return group_.rank() == group_.size() - 1; }

  /// Open MPI moves nothing unless somebody asks.
  void progress_messages() {
    outbox_.progress();
    if (from_upstream_.posted() > 0) from_upstream_.ready();
    if (from_downstream_.posted() > 0) from_downstream_.ready();
  }

  void breathe() {
    progress_messages();
    assignment_.breathe();
  }

  /// Asks for the next job and notes the room that its messages will need.
  void fetch_job() {
    std::optional<Job> job = assignment_.next();
    if (!job) return;
    const nn::Bundle& bundle = job->bundle;
    const BlockRange blocks = assignment_.partition(bundle, group_.size()).blocks_of(group_.rank());
    for (int microbatch = 0; !is_first() && microbatch < job->microbatches; ++microbatch) {
      const Stack rows = nn::microbatch_rows(bundle, microbatch, job->microbatches, blocks.first + 1);
      rooms_.push_back(packet_bytes<Real>(bundle.size(), state_shapes(bundle, blocks.first, rows)));
    }
    upcoming_.push_back({std::move(*job), blocks});
  }

  /// The end of the stream may come instead of any job, and fits into every room.
  void post_upstream() {
    if (rooms_.empty()) fetch_job();
    if (rooms_.empty()) return from_upstream_.post(sizeof(PacketHeader));
    from_upstream_.post(rooms_.front());
    rooms_.pop_front();
  }

  void begin_next_job_or_end() {
    if (is_first()) {
      if (upcoming_.empty()) fetch_job();
      const bool more = !upcoming_.empty() && !assignment_.stop();
      return more ? begin_job() : end_stream();
    }
    first_packet_ = receive(from_upstream_, {});
    const bool more = unpack<Real>(first_packet_, {}).header.job != PacketHeader::end_of_stream;
    more ? begin_job() : end_stream();
  }

  /// Told once for every receive that is posted downstream, so that none is left over.
  void end_stream() {
    actions_.end();
    if (is_last()) return;
    const Packet<Real> end{
        .header = {.job = PacketHeader::end_of_stream}, .failures = {}, .state = {}, .directions = {}};
    const std::size_t posted = messages_ahead(schedule_, group_.size(), group_.rank());
    for (std::size_t i = 0; i < posted; ++i) send(end, +1, forward_tag);
  }

  void begin_job() {
    // Points are finished, and their memory is free, before the next weights are made.
    while (const std::optional<Action> weight_pass = actions_.meanwhile(std::nullopt)) act(*weight_pass);
    UpcomingJob next = std::move(upcoming_.front());
    upcoming_.pop_front();
    const int microbatches = next.job.microbatches;
    const TracedPoints points =
        assignment_.trace ? std::make_shared<std::vector<std::uint64_t>>(next.job.points) : nullptr;
    Stage<Real> stage = generate(next, points);
    active_.push_back({.job = std::move(next.job),
                       .number = jobs_begun_++,
                       .first_microbatch = microbatches_begun_,
                       .blocks = next.blocks,
                       .stage = std::move(stage),
                       .points = points});
    microbatches_begun_ += microbatches;
    actions_.begin_bundle(microbatches);
    if (!is_first()) post_upstream();  // in place of the packet that began the job
  }

  Stage<Real> generate(const UpcomingJob& next, const TracedPoints& points) {
    const Traced traced(assignment_.trace, Activity::generate, points);
    const WeightPasses weight_passes = group_.size() == 1
                                           ? WeightPasses::at_once
                                           : WeightPasses::deferred;  // alone, the cache is worth more
    return Stage<Real>(
        next.job.bundle, next.blocks, next.job.microbatches, next.job.observation, [this] { breathe(); },
        next.job.checkpointing, weight_passes, next.job.parts);
  }

  ActiveJob<Real>& job_of(std::int64_t microbatch) {
    for (ActiveJob<Real>& job : active_) {
      if (microbatch < job.first_microbatch + job.job.microbatches) return job;
    }
    throw BrokenPromise("a microbatch of no job");
  }

  /// A promise broken in a pass is told with the points it belongs to.
  void act(Action action) {
    ActiveJob<Real>& job = job_of(action.microbatch);
    try {
      switch (action.pass) {
        case Pass::forward:
          return forward(job, action);
        case Pass::backward:
          return backward(job, action);
        case Pass::weight:
          return add_weight_gradients(job, action);
      }
    } catch (const BrokenPromise& broken) {
      throw BrokenPromise(fmt::format("point {}: {}", fmt::join(job.job.points, ", "), broken.what()));
    }
  }

  static int microbatch_of(const ActiveJob<Real>& job, Action action) {
    return int(action.microbatch - job.first_microbatch);
  }

  void forward(ActiveJob<Real>& job, Action action) {
    const int microbatch = microbatch_of(job, action);
    State<Real> x;
    if (!is_first()) x = receive_forward(job, action);
    State<Real> y = compute_forward(job, microbatch, std::move(x));
    if (is_last()) return;
    from_downstream_.post(packet_bytes<Real>(job.job.bundle.size(), job.gradient_shapes(microbatch),
                                             job.stage.directions_received(microbatch)));
    send_state(job, microbatch, std::move(y), +1, forward_tag);
  }

  State<Real> compute_forward(ActiveJob<Real>& job, int microbatch, State<Real> x) {
    const Traced traced(assignment_.trace, Activity::forward, job.points, microbatch);
    if (is_first()) x = nn::input<Real>(job.job.bundle, job.stage.rows(microbatch));
    return job.stage.forward(microbatch, std::move(x));
  }

  State<Real> receive_forward(ActiveJob<Real>& job, Action action) {
    const int microbatch = microbatch_of(job, action);
    const Expected expected{microbatch, job.input_shapes(microbatch)};
    if (microbatch == 0) return accept(job, expected, first_packet_);
    const mpi::Buffer bytes = receive(from_upstream_, action);
    post_upstream();
    return accept(job, expected, bytes);
  }

  void backward(ActiveJob<Real>& job, Action action) {
    const int microbatch = microbatch_of(job, action);
    State<Real> dy;
    if (!is_last()) {
      const Expected expected{microbatch, job.gradient_shapes(microbatch),
                              job.stage.directions_received(microbatch)};
      dy = accept(job, expected, receive(from_downstream_, action));
    }
    State<Real> dx = compute_backward(job, microbatch, std::move(dy));
    if (is_first()) return;
    send_state(job, microbatch, std::move(dx), -1, backward_tag, job.stage.directions_sent(microbatch));
  }

  State<Real> compute_backward(ActiveJob<Real>& job, int microbatch, State<Real> dy) {
    const Traced traced(assignment_.trace, Activity::backward, job.points, microbatch);
    return job.stage.backward(microbatch, std::move(dy));
  }

  void add_weight_gradients(ActiveJob<Real>& job, Action action) {
    const int microbatch = microbatch_of(job, action);
    {
      const Traced traced(assignment_.trace, Activity::weight, job.points, microbatch);
      job.stage.add_weight_gradients(microbatch);
    }
    if (microbatch == job.job.microbatches - 1) finish(job);
  }

  /// The message that comes next.
  struct Expected {
    int microbatch;  ///< within the job
    Shapes shapes;
    std::size_t directions = 0;
  };

  State<Real> accept(ActiveJob<Real>& job, const Expected& expected, const mpi::Buffer& bytes) {
    Packet<Real> packet = unpack<Real>(bytes, expected.shapes, expected.directions);
    expect(packet.header.job == job.number && packet.header.microbatch == expected.microbatch,
           "messages between stages arrive in the order of the schedule");
    job.stage.learn(packet.failures);
    if (expected.directions > 0) job.stage.learn_directions(expected.microbatch, packet.directions);
    return std::move(packet.state);
  }

  void finish(ActiveJob<Real>& job) {
    expect(&job == &active_.front(), "jobs finish in the order they began");
    assignment_.done(job.job, job.blocks, std::move(job.stage).results());
    active_.pop_front();
  }

  void send_state(const ActiveJob<Real>& job, int microbatch, State<Real> state, int direction, int tag,
                  std::vector<double> directions = {}) {
    const PacketHeader header{job.number, microbatch, std::int32_t(job.job.bundle.size())};
    send(Packet<Real>{header, job.stage.failures(), std::move(state), std::move(directions)}, direction, tag);
  }

  void send(const Packet<Real>& packet, int direction, int tag) {
    outbox_.add(group_.send(pack(packet), group_.rank() + direction, tag));
  }

  /// The next message. Weight passes that are put off fill the time until it comes.
  /// @param waiting  the action that needs it; none if a bundle begins with it
  mpi::Buffer receive(Inbox& inbox, std::optional<Action> waiting) {
    std::optional<Traced> wait;
    while (!inbox.ready()) {
      if (const std::optional<Action> weight_pass = actions_.meanwhile(waiting)) {
        wait.reset();
        act(*weight_pass);
        continue;
      }
      if (!wait) wait.emplace(assignment_.trace, Activity::wait);
      breathe();
      std::this_thread::yield();
    }
    return inbox.take();
  }

  const mpi::Communicator& group_;
  const ScheduleRow& schedule_;
  const Assignment<Real>& assignment_;
  ActionStream actions_;
  Outbox outbox_;
  Inbox from_upstream_;
  Inbox from_downstream_;
  std::deque<UpcomingJob> upcoming_;
  std::deque<std::size_t> rooms_;  ///< bytes of the messages from upstream that are not yet posted
  mpi::Buffer first_packet_;       ///< of the job that begins, already here
  std::deque<ActiveJob<Real>> active_;
  std::int64_t jobs_begun_ = 0;
  std::int64_t microbatches_begun_ = 0;
};

}  // namespace

template <class Real>
void execute(const mpi::Communicator& group, const ScheduleRow& schedule,
             const Assignment<Real>& assignment) {
  Executor<Real>(group, schedule, assignment).run();
}

template void execute(const mpi::Communicator&, const ScheduleRow&, const Assignment<float>&);
template void execute(const mpi::Communicator&, const ScheduleRow&, const Assignment<double>&);

}  // namespace gradflow::pipeline
