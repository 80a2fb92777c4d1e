#pragma once

#include <filesystem>
#include <functional>

#include "gradflow/hdf5/file.hpp"
#include "gradflow/store/schema.hpp"

namespace gradflow::store {

/// Writes a new file under a provisional name, fills it, brings it to the disk and gives it its name, in
/// place of a file that may be there; leaves nothing behind on failure.
/// @pre the caller holds the lock of `path`
/// @throws UserError if the provisional name is taken, Error if the file system or HDF5 fails
void write_whole(const std::filesystem::path& path, const FileSchema& schema,
                 const std::function<void(const hdf5::File&)>& fill);

}  // namespace gradflow::store
