#include "gradflow/mpi/pending.hpp"

#include <algorithm>
#include <utility>

#include "bytes.hpp"
#include "check.hpp"
#include "rehearsal.hpp"

namespace gradflow::mpi {
namespace {

struct Orphan {
  MPI_Request request;
  Buffer buffer;
};

// Never destroyed: MPI may touch these buffers until it is finalised, which may be after every static.
std::vector<Orphan>& orphans() {
  static auto* all = new std::vector<Orphan>;
  return *all;
}

bool is_finalised() {
  int flag = 0;
  MPI_Finalized(&flag);
  return flag != 0;
}

bool is_done(Orphan& orphan) {
  int flag = 0;
  return MPI_Test(&orphan.request, &flag, MPI_STATUS_IGNORE) != MPI_SUCCESS || flag != 0;
}

}  // namespace

InFlight::InFlight(InFlight&& other) noexcept
    : direction_(other.direction_),
      buffer_(std::move(other.buffer_)),
      request_(std::exchange(other.request_, MPI_REQUEST_NULL)),
      status_(other.status_) {}

InFlight& InFlight::operator=(InFlight&& other) noexcept {
  std::swap(direction_, other.direction_);
  std::swap(buffer_, other.buffer_);
  std::swap(request_, other.request_);
  std::swap(status_, other.status_);
  return *this;
}

InFlight::~InFlight() { abandon(); }

void InFlight::abandon() noexcept {
  if (request_ == MPI_REQUEST_NULL || is_finalised()) return;
  if (direction_ == Direction::in) MPI_Cancel(&request_);
  std::erase_if(orphans(), is_done);
  if (Orphan orphan{request_, std::move(buffer_)}; !is_done(orphan)) orphans().push_back(std::move(orphan));
}

bool InFlight::ready() {
  if (request_ == MPI_REQUEST_NULL) return true;
  int flag = 0;
  check(MPI_Test(&request_, &flag, &status_), "MPI_Test");
  return flag != 0;
}

void InFlight::wait() {
  if (request_ == MPI_REQUEST_NULL) return;
  check(MPI_Wait(&request_, &status_), "MPI_Wait");
}

PendingSend::PendingSend(Buffer message, int to, int tag, MPI_Comm comm) : InFlight(Direction::out) {
  buffer_ = std::move(message);
  const Bytes bytes(buffer_.size());
  const auto start = sends_are_synchronous() ? MPI_Issend : MPI_Isend;
  delay_a_send();
  check(start(buffer_.data(), bytes.count(), bytes.type(), to, tag, comm, &request_), "MPI_Isend");
}

PendingReceive::PendingReceive(std::size_t most_bytes, int from, int tag, MPI_Comm comm)
    : InFlight(Direction::in) {
  buffer_.resize(most_bytes);
  const Bytes bytes(most_bytes);
  check(MPI_Irecv(buffer_.data(), bytes.count(), bytes.type(), from, tag, comm, &request_), "MPI_Irecv");
}

Buffer PendingReceive::wait() && {
  InFlight::wait();
  buffer_.resize(size_of(status_));
  return std::move(buffer_);
}

}  // namespace gradflow::mpi
