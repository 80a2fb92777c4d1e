#pragma once

#include <functional>

#include "gradflow/mpi/communicator.hpp"

/// An exception of one rank, told to all: nobody waits for a rank that has given up.
namespace gradflow::mpi {

/// Rank 0 acts; the others wait until it has. @collective
/// @throws UserError   on every rank, if `act` threw one
/// @throws CommonError on every rank, for any other exception of `act`
void on_root(const Communicator& ranks, const std::function<void()>& act);

/// Every rank acts; none goes on before all have. @collective
/// @throws UserError, CommonError  on every rank: what the first rank that failed says
void on_each(const Communicator& ranks, const std::function<void()>& act);

}  // namespace gradflow::mpi
