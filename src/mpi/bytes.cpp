#include "bytes.hpp"

#include "check.hpp"

namespace gradflow::mpi {
namespace {

constexpr std::size_t gibibyte = std::size_t(1) << 30;

// Whole gibibytes, then the rest: its elements are bytes, so it matches any other description of as many
// bytes.
MPI_Datatype large_type(std::size_t count) {
  MPI_Datatype block = MPI_DATATYPE_NULL;
  check(MPI_Type_contiguous(int(gibibyte), MPI_BYTE, &block), "MPI_Type_contiguous");
  const std::size_t blocks = count / gibibyte;
  const int lengths[] = {int(blocks), int(count % gibibyte)};
  const MPI_Aint places[] = {0, MPI_Aint(blocks * gibibyte)};
  const MPI_Datatype types[] = {block, MPI_BYTE};

  MPI_Datatype type = MPI_DATATYPE_NULL;
  check(MPI_Type_create_struct(2, lengths, places, types, &type), "MPI_Type_create_struct");
  check(MPI_Type_commit(&type), "MPI_Type_commit");
  check(MPI_Type_free(&block), "MPI_Type_free");
  return type;
}

}  // namespace

Bytes::Bytes(std::size_t count)
    : count_(count <= gibibyte ? int(count) : 1), type_(count <= gibibyte ? MPI_BYTE : large_type(count)) {}

Bytes::~Bytes() {
  if (type_ != MPI_BYTE) MPI_Type_free(&type_);  // what is in flight keeps it alive
}

std::size_t size_of(const MPI_Status& status) {
  MPI_Count bytes = 0;
  check(MPI_Get_elements_x(&status, MPI_BYTE, &bytes), "MPI_Get_elements_x");
  return std::size_t(bytes);
}

}  // namespace gradflow::mpi
