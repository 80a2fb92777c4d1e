#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "gradflow/core/role.hpp"
#include "gradflow/hdf5/file.hpp"

namespace gradflow::data {

/// Where the numbers of one matrix stand.
struct MatrixPlace {
  std::string weight;
  std::string bias;         ///< empty: none
  std::string unit_weight;  ///< of a matrix that its scale does not give back; empty: none
  bool transposed = false;  ///< [fan_in][fan_out]
};

/// The matrices of one layer; the first is always there.
using LayerPlace = std::map<WeightRole, MatrixPlace>;

/// The layers of a file of weights, in order, whichever program wrote it.
/// @throws UserError if it has none of the known forms
std::vector<LayerPlace> layers_in(const std::filesystem::path& path, const hdf5::File& file);

}  // namespace gradflow::data
