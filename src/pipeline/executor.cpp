#include "gradflow/pipeline/executor.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "gradflow/nn/loss.hpp"
#include "packet.hpp"

namespace gradflow::pipeline {
namespace {

constexpr int forward_tag = 1;
constexpr int backward_tag = 2;

/// A job this stage has begun and not yet finished.
template <class Real>
struct ActiveJob {
  Job job;
  std::int64_t number = 0;            ///< of the group's jobs
  std::int64_t first_microbatch = 0;  ///< in the stream
  BlockRange blocks;
  Stage<Real> stage;
  std::map<int, State<Real>> outputs;  ///< last stage: h_L of the microbatches that have not turned round yet

  std::vector<int> input_widths() const { return nn::state_widths(job.bundle.front(), blocks.first); }
  std::vector<int> output_widths() const { return nn::state_widths(job.bundle.front(), blocks.end); }
};

/// Messages on their way out. Their buffers stay here until MPI has read them.
class Outbox {
 public:
  void add(mpi::PendingSend send) { pending_.push_back(std::move(send)); }

  /// Frees what has gone out; also lets MPI work.
  void progress() {
    while (!pending_.empty() && pending_.front().ready()) pending_.pop_front();
  }

  void wait() {
    for (mpi::PendingSend& send : pending_) std::move(send).wait();
    pending_.clear();
  }

 private:
  std::deque<mpi::PendingSend> pending_;
};

template <class Real>
class Executor {
 public:
  Executor(const mpi::Communicator& group, const ScheduleRow& schedule, const Assignment<Real>& assignment)
      : group_(group), assignment_(assignment), actions_(schedule, group.size(), group.rank()) {}

  void run() {
    post_next_job();
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
    outbox_.wait();
  }

 private:
  bool is_first() const { return group_.rank() == 0; }
  bool is_last() const { return group_.rank() == group_.size() - 1; }

  void breathe() {
    outbox_.progress();
    assignment_.breathe();
  }

  /// Learns of the next job and makes room for the message that brings its first microbatch, or the end of
  /// the stream.
  void post_next_job() {
    upcoming_ = assignment_.next();
    if (is_first()) return;
    std::size_t bytes = sizeof(PacketHeader);
    if (upcoming_) {
      const nn::NetworkSpec& network = upcoming_->bundle.front();
      const int blocks_before =
          assignment_.partition(upcoming_->bundle, group_.size()).blocks_of(group_.rank()).first;
      const int rows = rows_of(nn::microbatch_rows(upcoming_->bundle, 0, upcoming_->microbatches));
      bytes = packet_bytes<Real>(upcoming_->bundle.size(), rows, nn::state_widths(network, blocks_before));
    }
    from_upstream_ = group_.receive(bytes, group_.rank() - 1, forward_tag);
  }

  void begin_next_job_or_end() {
    bool more = upcoming_.has_value();
    if (is_first()) {
      more = more && !assignment_.stop();
    } else {
      first_packet_ = wait_for(*from_upstream_);
      from_upstream_.reset();
      more = unpack<Real>(first_packet_, 0, {}).header.job != PacketHeader::end_of_stream;
    }
    more ? begin_job() : end_stream();
  }

  void end_stream() {
    actions_.end();
    if (is_last()) return;
    send(Packet<Real>{.header = {.job = PacketHeader::end_of_stream}, .failures = {}, .state = {}}, +1,
         forward_tag);
  }

  void begin_job() {
    Job job = std::move(*upcoming_);
    const BlockRange blocks = assignment_.partition(job.bundle, group_.size()).blocks_of(group_.rank());
    Stage<Real> stage(job.bundle, blocks, job.microbatches, job.observation, [this] { breathe(); });
    const std::int64_t microbatches = job.microbatches;
    active_.push_back({.job = std::move(job),
                       .number = jobs_begun_++,
                       .first_microbatch = microbatches_begun_,
                       .blocks = blocks,
                       .stage = std::move(stage),
                       .outputs = {}});
    microbatches_begun_ += microbatches;
    actions_.begin_bundle(microbatches);
    if (is_first()) {
      upcoming_ = assignment_.next();
    } else if (microbatches > 1) {
      post_upstream(active_.back(), 1);
    }
  }

  ActiveJob<Real>& job_of(std::int64_t microbatch) {
    for (ActiveJob<Real>& job : active_) {
      if (microbatch < job.first_microbatch + job.job.microbatches) return job;
    }
    throw BrokenPromise("a microbatch of no job");
  }

  /// A promise broken in a pass is told with the points it belongs to.
  void act(Action action) {
    try {
      action.pass == Pass::forward ? forward(action.microbatch) : backward(action.microbatch);
    } catch (const BrokenPromise& broken) {
      throw BrokenPromise(
          fmt::format("point {}: {}", fmt::join(job_of(action.microbatch).job.points, ", "), broken.what()));
    }
  }

  void forward(std::int64_t stream_microbatch) {
    ActiveJob<Real>& job = job_of(stream_microbatch);
    const int microbatch = int(stream_microbatch - job.first_microbatch);
    State<Real> x = is_first() ? nn::input<Real>(job.job.bundle, job.stage.rows(microbatch))
                               : receive_forward(job, microbatch);
    State<Real> y = job.stage.forward(microbatch, std::move(x));
    if (is_last()) {
      job.outputs[microbatch] = std::move(y);
      return;
    }
    send_state(job, microbatch, std::move(y), +1, forward_tag);
    if (!from_downstream_) post_downstream(job, microbatch);
  }

  State<Real> receive_forward(ActiveJob<Real>& job, int microbatch) {
    mpi::Buffer bytes = microbatch == 0 ? std::move(first_packet_) : wait_for(*from_upstream_);
    const bool last = microbatch == job.job.microbatches - 1;
    if (last) {
      post_next_job();
    } else if (microbatch > 0) {
      post_upstream(job, microbatch + 1);
    }
    return accept(job, microbatch, bytes, job.input_widths());
  }

  void backward(std::int64_t stream_microbatch) {
    ActiveJob<Real>& job = job_of(stream_microbatch);
    const int microbatch = int(stream_microbatch - job.first_microbatch);
    nn::Entry entry = nn::Entry::output;
    State<Real> dy =
        is_last() ? begin_backward(job, microbatch, entry) : receive_backward(job, stream_microbatch);
    State<Real> dx = job.stage.backward(microbatch, std::move(dy), entry);
    if (!is_first()) send_state(job, microbatch, std::move(dx), -1, backward_tag);
    if (microbatch == job.job.microbatches - 1) finish(job);
  }

  State<Real> begin_backward(ActiveJob<Real>& job, int microbatch, nn::Entry& entry) {
    entry = nn::entry_of(job.job.bundle.front());
    nn::Failures failures(job.job.bundle.size());
    State<Real> output = std::move(job.outputs.extract(microbatch).mapped());
    State<Real> dy = nn::cotangent(job.job.bundle, std::move(output), job.stage.rows(microbatch), failures);
    job.stage.learn(failures);
    return dy;
  }

  State<Real> receive_backward(ActiveJob<Real>& job, std::int64_t stream_microbatch) {
    const mpi::Buffer bytes = wait_for(*from_downstream_);
    from_downstream_.reset();
    if (actions_.in_flight() > 0) {
      const ActiveJob<Real>& next = job_of(stream_microbatch + 1);
      post_downstream(next, int(stream_microbatch + 1 - next.first_microbatch));
    }
    return accept(job, int(stream_microbatch - job.first_microbatch), bytes, job.output_widths());
  }

  State<Real> accept(ActiveJob<Real>& job, int microbatch, const mpi::Buffer& bytes,
                     const std::vector<int>& widths) {
    Packet<Real> packet = unpack<Real>(bytes, rows_of(job.stage.rows(microbatch)), widths);
    expect(packet.header.job == job.number && packet.header.microbatch == microbatch,
           "messages between stages arrive in the order of the schedule");
    job.stage.learn(packet.failures);
    return std::move(packet.state);
  }

  void finish(ActiveJob<Real>& job) {
    expect(&job == &active_.front(), "jobs finish in the order they began");
    assignment_.done(job.job, job.blocks, std::move(job.stage).results());
    active_.pop_front();
  }

  void post_upstream(const ActiveJob<Real>& job, int microbatch) {
    from_upstream_ =
        group_.receive(bytes_of(job, microbatch, job.input_widths()), group_.rank() - 1, forward_tag);
  }

  void post_downstream(const ActiveJob<Real>& job, int microbatch) {
    from_downstream_ =
        group_.receive(bytes_of(job, microbatch, job.output_widths()), group_.rank() + 1, backward_tag);
  }

  static std::size_t bytes_of(const ActiveJob<Real>& job, int microbatch, const std::vector<int>& widths) {
    return packet_bytes<Real>(job.job.bundle.size(), rows_of(job.stage.rows(microbatch)), widths);
  }

  void send_state(const ActiveJob<Real>& job, int microbatch, State<Real> state, int direction, int tag) {
    const PacketHeader header{job.number, microbatch, std::int32_t(job.job.bundle.size())};
    send(Packet<Real>{header, job.stage.failures(), std::move(state)}, direction, tag);
  }

  void send(const Packet<Real>& packet, int direction, int tag) {
    outbox_.add(group_.send(pack(packet), group_.rank() + direction, tag));
  }

  mpi::Buffer wait_for(mpi::PendingReceive& incoming) {
    while (!incoming.ready()) {
      breathe();
      std::this_thread::yield();
    }
    return std::move(incoming).wait();
  }

  const mpi::Communicator& group_;
  const Assignment<Real>& assignment_;
  ActionStream actions_;
  Outbox outbox_;
  std::optional<Job> upcoming_;
  mpi::Buffer first_packet_;                            ///< of the job that begins, already here
  std::optional<mpi::PendingReceive> from_upstream_;    ///< one message posted ahead
  std::optional<mpi::PendingReceive> from_downstream_;  ///< the oldest microbatch in flight
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
