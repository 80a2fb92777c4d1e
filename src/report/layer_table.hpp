#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gradflow/store/result_file.hpp"

namespace gradflow::report {

/// The main statistics of one point at chosen layers.
struct LayerTable {
  struct Column {
    std::string_view variable;
    std::string_view signal;   ///< first line of the heading
    std::string_view heading;  ///< second line
    std::vector<double> values;
  };

  std::string name;    ///< of the point
  std::string status;  ///< "done", or what happened
  std::vector<int> layers;
  std::vector<Column> columns;  ///< none unless the point is done
};

/// The first, the last and about twenty layers between.
/// @throws UserError if the file has no such point
LayerTable layer_table(const store::ResultFile& file, std::uint64_t point);

/// The directions of a point's Jacobian in place of layers; no columns if the point has none.
LayerTable direction_table(const store::ResultFile& file, std::uint64_t point);

}  // namespace gradflow::report
