#pragma once

#include <cstddef>
#include <vector>

#include <mpi.h>

namespace gradflow::mpi {

using Buffer = std::vector<std::byte>;

/// One message in flight and the memory it is sent from or received into.
///
/// The destructor never waits, so that an exception on one rank cannot hang on another. What is still in
/// flight is cancelled if it is a receive; a buffer that MPI may still touch goes to a list of orphans, whose
/// members are freed as they complete and otherwise live as long as the process.
class InFlight {
 public:
  InFlight(InFlight&& other) noexcept;
  InFlight& operator=(InFlight&& other) noexcept;

  /// Whether the message is through. Also lets MPI work: Open MPI moves nothing unless somebody asks.
  bool ready();

 protected:
  enum class Direction { out, in };

  explicit InFlight(Direction direction) noexcept : direction_(direction) {}
  ~InFlight();

  void wait();

  Direction direction_;
  Buffer buffer_;
  MPI_Request request_ = MPI_REQUEST_NULL;
  MPI_Status status_ = {};  ///< of the completed request

 private:
  void abandon() noexcept;
};

/// A message on its way out.
class PendingSend : public InFlight {
 public:
  /// Returns when the buffer is free again; under synchronous sends, when the receiver has begun to receive.
  void wait() && { InFlight::wait(); }

 private:
  friend class Communicator;
  PendingSend(Buffer message, int to, int tag, MPI_Comm comm);
};

/// A message on its way in; it can be read only by waiting for it.
class PendingReceive : public InFlight {
 public:
  /// The message, as long as it was sent. @throws Error if it was longer than the room made for it
  Buffer wait() &&;

 private:
  friend class Communicator;
  PendingReceive(std::size_t most_bytes, int from, int tag, MPI_Comm comm);
};

}  // namespace gradflow::mpi
