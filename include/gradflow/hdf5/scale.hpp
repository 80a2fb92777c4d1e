#pragma once

#include <string>
#include <vector>

#include "gradflow/hdf5/dataset.hpp"

namespace gradflow::hdf5 {

/// Declares that `values` holds the coordinate values of the axis that bears its name.
void make_scale(const Dataset& values);

/// An axis that has a length and a name but no values, in netCDF-4's way of writing it. Takes no space in the
/// file.
Dataset create_axis(const File& file, const std::string& name, hsize_t length);

/// Says that axis number `axis` of `dataset` is the one `scale` stands for.
void attach_scale(const Dataset& dataset, const Dataset& scale, unsigned axis);

/// The names of a dataset's axes; "" for an axis without one.
std::vector<std::string> axis_names(const Dataset& dataset);

}  // namespace gradflow::hdf5
