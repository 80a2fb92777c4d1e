#pragma once

#include <string>

#include <mpi.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::mpi {

/// Throws Error with MPI's own text unless the call succeeded.
inline void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(std::string(call) + ": " + std::string(text, std::size_t(length)));
}

}  // namespace gradflow::mpi
