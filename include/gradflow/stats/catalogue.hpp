#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gradflow/stats/layer_record.hpp"
#include "gradflow/stats/table.hpp"

namespace gradflow::stats {

/// What has to be measured for a selection of statistics.
struct Needs {
  What operator[](Role role) const { return signals[std::size_t(role)]; }

  std::array<What, role_count> signals{};
  bool gradients = false;  ///< any GradientNorms or NormalizationNorms
};
Needs operator|(const Needs& a, const Needs& b);

/// The subject of what is measured of all normalisations of a block together.
struct OfNormalization {};

/// One variable of the result file, per layer: one figure of one signal, of one weight matrix or of the
/// normalisations.
struct Statistic {
  std::string name;
  std::string long_name;
  std::string_view units;
  std::string formula;
  std::string_view extra_dimension;  ///< "format", or "" for none
  int extent;                        ///< length of the extra dimension, else 1
  std::string_view preset;           ///< the smallest preset that has it
  std::variant<Role, WeightRole, OfNormalization> subject;
  Needs needs;
  std::function<double(const LayerRecord& record, int index)> value;  ///< 0 <= index < extent
};

/// Every statistic, in the order of the file. Adding one is adding a row to a table of
/// src/stats/catalogue.cpp: every signal, or every matrix, then has it.
std::span<const Statistic> statistics();

/// A named choice of statistics; each contains the ones before it.
struct Preset {
  std::string_view name;
  std::string_view doc;
};
std::span<const Preset> presets();

/// Chosen statistics, in the order of the catalogue.
using Selection = std::vector<const Statistic*>;

/// The statistics of a preset that blocks with these parts have.
/// @throws UserError naming the known presets
Selection of_preset(std::string_view name, const BlockParts& parts);

/// The same, and those of `also` that these blocks have. @pre every name of `also` is one of statistics()
Selection of_preset(std::string_view name, const std::vector<std::string>& also, const BlockParts& parts);

/// Those of a selection that blocks with these parts have.
Selection of_parts(const Selection& selection, const BlockParts& parts);

Needs needed(const Selection& selection);

/// Whether the figures of some signal take long, so that points are better sealed side by side.
bool takes_long_to_seal(const Needs& needs);
/// @param loss_scale  log2, of the loss-scaled statistics
Columns columns_of(const Selection& selection, int loss_scale = 0);

/// Writes the statistics of one layer into stored layer `row`.
/// @param first_column  of the selection in the table's columns
/// @pre columns first_column, first_column + 1, ... are columns_of(selection)
void fill(PointTable& table, int row, const LayerRecord& record, const Selection& selection,
          int first_column = 0);

}  // namespace gradflow::stats
