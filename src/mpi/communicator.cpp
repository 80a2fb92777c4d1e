#include "gradflow/mpi/communicator.hpp"

#include <algorithm>
#include <exception>
#include <limits>
#include <numeric>
#include <utility>

#include "bytes.hpp"
#include "check.hpp"

namespace gradflow::mpi {

Communicator::Communicator(MPI_Comm owned) : handle_(owned) {
  check(MPI_Comm_set_errhandler(handle_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_rank(handle_, &rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(handle_, &size_), "MPI_Comm_size");
}

Communicator Communicator::world() {
  MPI_Comm duplicate = MPI_COMM_NULL;
  check(MPI_Comm_dup(MPI_COMM_WORLD, &duplicate), "MPI_Comm_dup");
  return Communicator(duplicate);
}

Communicator Communicator::split(int color, int key) const {
  expect(color >= 0, "a colour of 0 or more");
  MPI_Comm part = MPI_COMM_NULL;
  check(MPI_Comm_split(handle_, color, key, &part), "MPI_Comm_split");
  return Communicator(part);
}

Communicator::Communicator(Communicator&& other) noexcept
    : handle_(std::exchange(other.handle_, MPI_COMM_NULL)), rank_(other.rank_), size_(other.size_) {}

Communicator& Communicator::operator=(Communicator&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(rank_, other.rank_);
  std::swap(size_, other.size_);
  return *this;
}

Communicator::~Communicator() {
  int finalised = 0;
  MPI_Finalized(&finalised);
  if (handle_ == MPI_COMM_NULL || finalised || std::uncaught_exceptions() > 0) return;
  MPI_Comm_free(&handle_);
}

PendingSend Communicator::send(Buffer message, int to, int tag) const {
  return PendingSend(std::move(message), to, tag, handle_);
}

PendingReceive Communicator::receive(std::size_t most_bytes, int from, int tag) const {
  return PendingReceive(most_bytes, from, tag, handle_);
}

std::optional<Message> Communicator::poll(int tag) const {
  int arrived = 0;
  MPI_Message matched = MPI_MESSAGE_NULL;
  MPI_Status status;
  check(MPI_Improbe(MPI_ANY_SOURCE, tag, handle_, &arrived, &matched, &status), "MPI_Improbe");
  if (!arrived) return std::nullopt;

  Message message{status.MPI_SOURCE, Buffer(size_of(status))};
  const Bytes bytes(message.bytes.size());
  check(MPI_Mrecv(message.bytes.data(), bytes.count(), bytes.type(), &matched, MPI_STATUS_IGNORE),
        "MPI_Mrecv");
  return message;
}

void Communicator::broadcast_bytes(void* bytes, std::size_t count, int root) const {
  const Bytes described(count);
  check(MPI_Bcast(bytes, described.count(), described.type(), root, handle_), "MPI_Bcast");
}

Buffer Communicator::broadcast(Buffer value, int root) const {
  value.resize(broadcast(value.size(), root));
  broadcast_bytes(value.data(), value.size(), root);
  return value;
}

std::string Communicator::broadcast(std::string value, int root) const {
  value.resize(broadcast(value.size(), root));
  broadcast_bytes(value.data(), value.size(), root);
  return value;
}

namespace {

/// Bytes of each rank's string in one round of a gather. MPI counts what rank 0 receives in one round with
/// int.
constexpr std::size_t slice_bytes(int ranks) {
  return std::size_t(std::numeric_limits<int>::max()) / std::size_t(ranks);
}

int slice_of(std::size_t length, std::size_t begin, std::size_t slice) {
  return int(std::min(slice, length - std::min(begin, length)));
}

}  // namespace

std::vector<std::string> Communicator::gather(const std::string& mine) const {
  const std::uint64_t length = mine.size();
  std::uint64_t longest = 0;
  check(MPI_Allreduce(&length, &longest, 1, MPI_UINT64_T, MPI_MAX, handle_), "MPI_Allreduce");
  std::vector<std::uint64_t> lengths(rank_ == 0 ? std::size_t(size_) : 0);
  check(MPI_Gather(&length, 1, MPI_UINT64_T, lengths.data(), 1, MPI_UINT64_T, 0, handle_), "MPI_Gather");

  std::vector<std::string> all(lengths.size());
  const std::size_t slice = slice_bytes(size_);
  for (std::size_t begin = 0; begin < longest; begin += slice) {
    std::vector<int> counts(all.size()), places(all.size());
    for (std::size_t r = 0; r < all.size(); ++r) counts[r] = slice_of(lengths[r], begin, slice);
    std::exclusive_scan(counts.begin(), counts.end(), places.begin(), 0);
    std::string received(std::accumulate(counts.begin(), counts.end(), std::size_t(0)), '\0');
    check(MPI_Gatherv(mine.data() + std::min(begin, mine.size()), slice_of(length, begin, slice), MPI_CHAR,
                      received.data(), counts.data(), places.data(), MPI_CHAR, 0, handle_),
          "MPI_Gatherv");
    for (std::size_t r = 0; r < all.size(); ++r)
      all[r].append(received, std::size_t(places[r]), std::size_t(counts[r]));
  }
  return all;
}

bool Communicator::all_agree(bool mine) const {
  const int yes = mine ? 1 : 0;
  int everybody = 0;
  check(MPI_Allreduce(&yes, &everybody, 1, MPI_INT, MPI_LAND, handle_), "MPI_Allreduce");
  return everybody != 0;
}

bool Communicator::all_equal(std::uint64_t mine) const {
  const std::uint64_t both[] = {mine, ~mine};
  std::uint64_t largest[2] = {};
  check(MPI_Allreduce(both, largest, 2, MPI_UINT64_T, MPI_MAX, handle_), "MPI_Allreduce");
  return largest[0] == ~largest[1];  // the largest complement is the complement of the smallest
}

std::uint64_t Communicator::sum(std::uint64_t mine) const {
  std::uint64_t total = 0;
  check(MPI_Allreduce(&mine, &total, 1, MPI_UINT64_T, MPI_SUM, handle_), "MPI_Allreduce");
  return total;
}

double Communicator::max(double mine) const {
  double largest = 0;
  check(MPI_Allreduce(&mine, &largest, 1, MPI_DOUBLE, MPI_MAX, handle_), "MPI_Allreduce");
  return largest;
}

int Communicator::ranks_on_this_host() const {
  MPI_Comm here = MPI_COMM_NULL;
  check(MPI_Comm_split_type(handle_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &here),
        "MPI_Comm_split_type");
  return Communicator(here).size();
}

void Communicator::barrier() const { check(MPI_Barrier(handle_), "MPI_Barrier"); }

}  // namespace gradflow::mpi
