#pragma once

#include <memory>
#include <vector>

#include "gradflow/stats/table.hpp"

namespace gradflow::pipeline {

/// The rows of one point on one stage, which are filled from the last to the first, a part at a time.
class RowParts {
 public:
  /// @param part_rows  of each part but the last, which holds what is left
  RowParts(std::shared_ptr<const stats::Columns> columns, int first_row, int rows, int part_rows);

  /// Makes room for the rows down to this one. @pre the stage's
  void reach(int row);

  /// The part that holds a row within reach and not yet taken.
  stats::PointTable& holding(int row);

  /// Every part but the lowest, whose rows are all filled.
  std::vector<stats::PointTable> take_filled();

  /// The lowest part. @pre nothing else is left
  stats::PointTable take_last();

 private:
  std::shared_ptr<const stats::Columns> columns_;
  int first_row_;
  int part_rows_;
  std::vector<stats::PointTable> open_;  ///< from the highest
};

}  // namespace gradflow::pipeline
