#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/file.hpp"

namespace gradflow::data {

/// Opens a file somebody else has written, acts, and closes it; one thread at a time, as HDF5 wants it.
/// @throws UserError if it cannot be opened, and with HDF5's account in place of an Error of `act`
void with_hdf5(const std::filesystem::path& path, const std::function<void(const hdf5::File&)>& act);

/// A dataset of real or whole numbers. @throws UserError naming the datasets the file has, if it has no such
hdf5::Dataset open_numbers(const std::filesystem::path& path, const hdf5::File& file,
                           const std::string& name);

/// "60000][28][28", for messages.
std::string text_of(const hdf5::Shape& shape);

}  // namespace gradflow::data
