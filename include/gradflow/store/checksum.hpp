#pragma once

#include <cstdint>
#include <span>

#include "gradflow/stats/table.hpp"

namespace gradflow::store {

/// What one column adds to the checksum of a point.
///
/// A point's checksum is the sum, modulo 2^64, over its columns and stored layers of
/// XXH64(point hash, name, layer, values), where integers are 64-bit and everything is little-endian. Sums do
/// not depend on their order, so the pieces of the stages add. Columns that are not per layer count as layer
/// 0; facts of one run are left out.
/// @param layers  layer numbers of the rows at hand
/// @param values  [rows][extent], or [extent] if the column is not per layer
std::uint64_t checksum(std::uint64_t point_hash, const stats::Column& column, std::span<const int> layers,
                       std::span<const double> values);

}  // namespace gradflow::store
