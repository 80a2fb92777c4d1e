#pragma once

#include <filesystem>
#include <string_view>

#include <hdf5.h>

/// What is looked at before HDF5 1.10.8, which trusts what a file says of itself, goes on with it. What slips
/// through is caught by reading in a child process (gradflow/core/contained.hpp).
namespace gradflow::hdf5 {

/// Checks the superblock, by our own reading of it: format versions, widths of addresses, and that the root
/// group and the announced end lie within the file. HDF5 file format specification 3.0, section II.A.
/// @throws Error if it is none, or the file is shorter than it says
void require_sound_superblock(const std::filesystem::path& path);

/// @throws Error if the dataset keeps its values in other files: external storage, a virtual dataset
void require_own_storage(hid_t dataset, std::string_view name);

/// @throws Error if `values` of the dataset are more than 1 MiB and more than what the file stores of it can
/// unpack to (1032 times, by deflate): a few bytes could ask for any memory
void require_stored(hid_t dataset, std::string_view name, unsigned long long values);

}  // namespace gradflow::hdf5
