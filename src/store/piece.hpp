#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gradflow/core/failure.hpp"
#include "gradflow/mpi/communicator.hpp"
#include "gradflow/stats/table.hpp"

namespace gradflow::store {

/// The values of one column; empty: the stage that measured them has written them itself.
using TravellingValues = std::vector<double>;

/// One stage's account of one point, or of a part of its rows: the acknowledgement of what it wrote, and the
/// values it leaves to the first stage.
struct Piece {
  std::uint64_t point = 0;
  std::uint64_t checksum = 0;  ///< of this stage's rows
  Failure failure;
  std::int32_t first_row = 0;
  std::int32_t rows = 0;
  bool is_last = true;                   ///< of the stage's parts of the point
  std::vector<TravellingValues> values;  ///< by column: [rows][extent]
};

/// Which columns of a point travel to the group's first rank, and which each stage writes itself.
struct TravelRule {
  int stages = 1;
  std::size_t smallest_piece_bytes = 4096;
  bool everything = false;  ///< only first ranks have the file open

  /// Every stage comes to the same answer: it depends on the whole row and on the number of stages alone.
  bool travels(const stats::Column& column, std::size_t rows_of_point) const {
    const std::size_t row_bytes = rows_of_point * std::size_t(column.extent) * sizeof(double);
    return everything || !column.per_layer || row_bytes < smallest_piece_bytes * std::size_t(stages);
  }
};

/// The account of this stage's rows of a point.
/// @param rows    [first_row .. first_row + rows) of the point
/// @param layers  layer numbers of all stored rows of the point
/// @param with_point_values  columns that are not per layer are here too: the affair of the group's first
/// rank and of its last part
Piece piece_of(std::uint64_t point, std::uint64_t point_hash, const stats::PointTable& rows, Failure failure,
               const std::vector<int>& layers, const TravelRule& rule, bool with_point_values);

mpi::Buffer packed(const std::vector<Piece>& pieces);
std::vector<Piece> unpacked(const mpi::Buffer& message, std::size_t columns);

}  // namespace gradflow::store
