#pragma once

#include <cstddef>
#include <deque>
#include <utility>

#include "gradflow/mpi/communicator.hpp"

namespace gradflow::pipeline {

/// Messages on their way out. Their buffers stay here until MPI has read them.
class Outbox {
 public:
  void add(mpi::PendingSend send) { pending_.push_back(std::move(send)); }
  bool empty() const noexcept { return pending_.empty(); }

  /// Frees what has gone out; also lets MPI work.
  void progress() {
    while (!pending_.empty() && pending_.front().ready()) pending_.pop_front();
  }

 private:
  std::deque<mpi::PendingSend> pending_;
};

/// Receives posted ahead from one neighbour. Messages match them in the order of the posts.
class Inbox {
 public:
  Inbox(const mpi::Communicator& group, int from, int tag) : group_(group), from_(from), tag_(tag) {}

  /// Makes room for one more message.
  void post(std::size_t most_bytes) { posted_.push_back(group_.receive(most_bytes, from_, tag_)); }
  std::size_t posted() const noexcept { return posted_.size(); }

  /// Whether the next message is here; also lets MPI work.
  bool ready() { return posted_.front().ready(); }

  mpi::Buffer take() {
    mpi::Buffer message = std::move(posted_.front()).wait();
    posted_.pop_front();
    return message;
  }

 private:
  const mpi::Communicator& group_;
  int from_;
  int tag_;
  std::deque<mpi::PendingReceive> posted_;
};

}  // namespace gradflow::pipeline
