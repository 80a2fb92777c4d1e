#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "gradflow/hdf5/file.hpp"

namespace gradflow::data {

/// Where the numbers of one layer stand.
struct LayerPlace {
  std::string weight;
  std::string bias;         ///< empty: none
  bool transposed = false;  ///< [fan_in][fan_out]
};

/// The layers of a file of weights, in order, whichever program wrote it.
/// @throws UserError if it has neither form
std::vector<LayerPlace> layers_in(const std::filesystem::path& path, const hdf5::File& file);

}  // namespace gradflow::data
