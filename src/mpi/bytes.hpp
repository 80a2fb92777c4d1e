#pragma once

#include <cstddef>

#include <mpi.h>

namespace gradflow::mpi {

/// What MPI is told about a run of bytes. MPI counts with int, so a run above 1 GiB is one element of a
/// derived type.
class Bytes {
 public:
  explicit Bytes(std::size_t count);
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes();

  int count() const noexcept { return count_; }
  MPI_Datatype type() const noexcept { return type_; }

 private:
  int count_;
  MPI_Datatype type_;
};

/// Bytes of a received or probed message.
std::size_t size_of(const MPI_Status& status);

}  // namespace gradflow::mpi
