#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "gradflow/stats/layer_record.hpp"
#include "gradflow/stats/table.hpp"

namespace gradflow::stats {

/// What has to be measured for a selection of statistics.
struct Needs {
  What preact = What::nothing;
  What act = What::nothing;
  What dgrad = What::nothing;
  bool saturation = false;        ///< LayerRecord::saturated
  bool lost = false;              ///< LayerRecord::lost
  bool weight_gradient = false;   ///< GradientNorms::wgrad_squared
  bool bias_gradient = false;     ///< GradientNorms::bgrad_squared
  bool weight_norm = false;       ///< GradientNorms::weight_squared
  bool sample_gradients = false;  ///< GradientNorms::sample_squared_sum
};
Needs operator|(const Needs& a, const Needs& b);

/// One row of the catalogue: one variable of the result file, per layer.
struct Statistic {
  std::string_view name;
  std::string_view long_name;
  std::string_view units;
  std::string_view formula;
  std::string_view extra_dimension;  ///< "format", or "" for none
  int extent;                        ///< length of the extra dimension, else 1
  std::string_view preset;           ///< the smallest preset that has it
  Needs needs;
  double (*value)(const LayerRecord& record, int index);  ///< 0 <= index < extent
};

/// Every statistic, in the order of the file. Adding one is adding a row.
std::span<const Statistic> statistics();

/// A named choice of statistics; each contains the ones before it.
struct Preset {
  std::string_view name;
  std::string_view doc;
};
std::span<const Preset> presets();

/// Chosen statistics, in the order of the catalogue.
using Selection = std::vector<const Statistic*>;

/// @throws UserError naming the known presets
Selection of_preset(std::string_view name);

Needs needed(const Selection& selection);
Columns columns_of(const Selection& selection);

/// Writes the statistics of one layer into stored layer `row`.
/// @param first_column  of the selection in the table's columns
/// @pre columns first_column, first_column + 1, ... are columns_of(selection)
void fill(PointTable& table, int row, const LayerRecord& record, const Selection& selection,
          int first_column = 0);

}  // namespace gradflow::stats
