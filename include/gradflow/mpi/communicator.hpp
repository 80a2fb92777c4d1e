#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include <mpi.h>

#include "gradflow/mpi/pending.hpp"

namespace gradflow::mpi {

/// A message of any size, and the rank it came from.
struct Message {
  int from = 0;
  Buffer bytes;
};

/// Ranks that exchange messages apart from everybody else's. Owns its MPI communicator.
///
/// Every MPI call is checked and a failed one throws Error with MPI's own text. Messages with one tag between
/// two ranks arrive in the order they were sent. All calls come from the thread that made the Environment
/// (MPI_THREAD_FUNNELED). The destructor is collective; while an exception unwinds it leaves the communicator
/// to the end of the job, because the other ranks may never come to free theirs.
class Communicator {
 public:
  /// All ranks of the job, in a communicator of its own. @collective over the job
  static Communicator world();

  /// One communicator per colour, ranked by `key`, then by rank here. @collective
  /// @pre color >= 0
  Communicator split(int color, int key) const;

  Communicator(Communicator&& other) noexcept;
  Communicator& operator=(Communicator&& other) noexcept;
  ~Communicator();

  int rank() const noexcept { return rank_; }
  int size() const noexcept { return size_; }
  MPI_Comm handle() const noexcept { return handle_; }

  /// Starts to send and returns at once. The message may have any size, also above 2 GiB.
  PendingSend send(Buffer message, int to, int tag) const;

  /// Posts a receive and returns at once.
  /// @param most_bytes  room for the message; a longer one makes wait() throw Error (but Open MPI 4.1 cuts a
  ///                    rank's message to itself without a word)
  PendingReceive receive(std::size_t most_bytes, int from, int tag) const;

  /// The next message with `tag` from any rank, if one has arrived. Never waits.
  std::optional<Message> poll(int tag) const;

  /// The root's value, on every rank. @collective
  Buffer broadcast(Buffer value, int root = 0) const;
  std::string broadcast(std::string value, int root = 0) const;
  template <class Value>
  requires std::is_trivially_copyable_v<Value> Value broadcast(Value value, int root = 0)
  const {
    broadcast_bytes(&value, sizeof value, root);
    return value;
  }

  /// The strings of all ranks, by rank, on rank 0; nothing elsewhere. @collective
  std::vector<std::string> gather(const std::string& mine) const;

  /// Whether every rank says yes. @collective
  bool all_agree(bool mine) const;

  /// Whether every rank holds the same number. @collective
  bool all_equal(std::uint64_t mine) const;

  /// The sum over the ranks, on every rank. @collective
  std::uint64_t sum(std::uint64_t mine) const;

  /// The largest number of any rank, on every rank. @pre not NaN @collective
  double max(double mine) const;

  /// How many of these ranks share this rank's memory: those on its host. @collective
  int ranks_on_this_host() const;

  /// Waits until every rank is here. @collective
  void barrier() const;

 private:
  explicit Communicator(MPI_Comm owned);
  void broadcast_bytes(void* bytes, std::size_t count, int root) const;

  MPI_Comm handle_;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace gradflow::mpi
