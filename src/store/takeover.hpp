#pragma once

#include <cstdint>
#include <vector>

#include "gradflow/hdf5/file.hpp"
#include "gradflow/store/result_file.hpp"

namespace gradflow::store {

/// A finished point of an old file, and its place in a new one.
struct Move {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
};
using Moves = std::vector<Move>;

/// Copies the rows, the status and the checksum of finished points, and what the old file knows of its
/// launches.
/// @param added  further columns of the new file, which are NaN in every moved point, and count in its
/// checksum
/// @pre but for these both files have the same columns, and the same layers for each moved point
void take_over(const ResultFile& old_file, const hdf5::File& skeleton, const Moves& moves,
               const stats::Columns& added = {});

}  // namespace gradflow::store
