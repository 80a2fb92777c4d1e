#include "gradflow/stats/table.hpp"

#include <limits>

namespace gradflow::stats {

PointTable::PointTable(std::shared_ptr<const Columns> columns, int first_row, int rows)
    : columns_(std::move(columns)), first_row_(first_row), rows_(rows) {
  std::size_t size = 0;
  for (const Column& column : *columns_) {
    offsets_.push_back(size);
    size += std::size_t(column.extent) * (column.per_layer ? rows_ : 1);
  }
  offsets_.push_back(size);
  values_.assign(size, std::numeric_limits<double>::quiet_NaN());
}

std::span<double> PointTable::values(int column) {
  return all().subspan(offsets_[column], offsets_[column + 1] - offsets_[column]);
}

std::span<const double> PointTable::values(int column) const {
  return all().subspan(offsets_[column], offsets_[column + 1] - offsets_[column]);
}

std::span<double> PointTable::at(int column, int row) {
  expect(first_row_ <= row && row < first_row_ + rows_, "a row of this stage's own layers");
  const std::size_t extent = std::size_t((*columns_)[column].extent);
  return values(column).subspan(std::size_t(row - first_row_) * extent, extent);
}

}  // namespace gradflow::stats
