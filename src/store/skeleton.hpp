#pragma once

#include <filesystem>

#include "gradflow/hdf5/file.hpp"
#include "gradflow/store/schema.hpp"

namespace gradflow::store {

/// A new file with every variable, axis and attribute of the schema, and no measurement. Every later write is
/// raw data.
hdf5::File create_skeleton(const std::filesystem::path& path, const FileSchema& schema);

}  // namespace gradflow::store
