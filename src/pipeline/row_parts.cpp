#include "row_parts.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace gradflow::pipeline {

RowParts::RowParts(std::shared_ptr<const stats::Columns> columns, int first_row, int rows, int part_rows)
    : columns_(std::move(columns)), first_row_(first_row), part_rows_(part_rows) {
  const int of_first = std::min(rows, part_rows_);
  open_.emplace_back(columns_, first_row + rows - of_first, of_first);
}

void RowParts::reach(int row) {
  expect(row >= first_row_, "a row of the stage");
  while (row < open_.back().first_row()) {
    const int end = open_.back().first_row();
    const int first = end - first_row_ > part_rows_ ? end - part_rows_ : first_row_;
    open_.emplace_back(columns_, first, end - first);
  }
}

stats::PointTable& RowParts::holding(int row) {
  return *std::ranges::find_if(open_,
                               [row](const stats::PointTable& part) { return part.first_row() <= row; });
}

std::vector<stats::PointTable> RowParts::take_filled() {
  std::vector<stats::PointTable> filled(std::make_move_iterator(open_.begin()),
                                        std::make_move_iterator(open_.end() - 1));
  open_.erase(open_.begin(), open_.end() - 1);
  return filled;
}

stats::PointTable RowParts::take_last() {
  expect(open_.size() == 1, "every other part was taken");
  return std::move(open_.front());
}

}  // namespace gradflow::pipeline
