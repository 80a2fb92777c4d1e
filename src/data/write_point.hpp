#pragma once

#include <string>
#include <vector>

#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/file.hpp"
#include "gradflow/nn/network.hpp"

namespace gradflow::data {

/// A new dataset with these values.
void write_numbers(const hdf5::File& file, const std::string& name, const hdf5::Shape& shape,
                   const std::vector<double>& values);

/// What Exported::weights_and_data adds to a file of weights.
/// @param Real  of the run whose inputs and cotangents they are
template <class Real>
void write_point(const hdf5::File& file, const nn::NetworkSpec& network);

}  // namespace gradflow::data
