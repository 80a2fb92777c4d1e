#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gradflow/core/errors.hpp"

namespace gradflow::stats {

/// One float64 variable of the result file: what the file says of it, and its shape per point.
struct Column {
  std::string name;             ///< "dgrad_log10_norm_mean"
  std::string long_name;        ///< one line for a person
  std::string units;            ///< "1" where dimensionless
  std::string formula;          ///< plain text, in the letters of the README
  std::string setting = {};     ///< what the values depend on beside the point: "loss_scale = 16"
  bool per_layer = true;        ///< false: one value per point
  std::string extra_dimension;  ///< "format", "index", ...; empty: none
  int extent = 1;               ///< length of the extra dimension
  bool run_fact = false;        ///< may differ between two runs (times, hosts)
};

using Columns = std::vector<Column>;

/// Whether two columns hold the same kind of values in the same places, whatever is said of them.
inline bool same_shape(const Column& a, const Column& b) {
  return a.name == b.name && a.per_layer == b.per_layer && a.extra_dimension == b.extra_dimension &&
         a.extent == b.extent && a.run_fact == b.run_fact && a.setting == b.setting;
}

/// The values of one point, for the stored layers `first_row, first_row + 1, ...` of that point.
///
/// A row is a *stored* layer: row 0 is the first layer selected by the sweep's `statistics.layers`. A stage
/// fills the rows of its own layers; values that were never set are NaN. Columns that are not per layer hold
/// one row.
class PointTable {
 public:
  PointTable(std::shared_ptr<const Columns> columns, int first_row, int rows);

  const Columns& columns() const noexcept { return *columns_; }
  int first_row() const noexcept { return first_row_; }
  int rows() const noexcept { return rows_; }

  /// The values of one column: [rows][extent], or [extent] if the column is not per layer.
  std::span<double> values(int column);
  std::span<const double> values(int column) const;

  /// Values of column `column` at stored layer `row`. @pre first_row() <= row < first_row() + rows()
  std::span<double> at(int column, int row);

  /// Every value, column after column.
  std::span<const double> all() const noexcept { return values_; }
  std::span<double> all() noexcept { return values_; }

 private:
  std::shared_ptr<const Columns> columns_;
  int first_row_ = 0;
  int rows_ = 0;
  std::vector<std::size_t> offsets_;  ///< of each column in values_
  std::vector<double> values_;
};

}  // namespace gradflow::stats
