#pragma once

#include <filesystem>
#include <vector>

#include "gradflow/store/schema.hpp"

namespace gradflow::store {

/// Makes sure that `path` is a result file of this sweep: creates it, leaves it as it is, or replaces it by a
/// new skeleton that holds its finished points. The file appears under its name only when it is complete.
/// @pre the caller holds the lock of `path`
/// @return for each point, whether it is still to be measured
/// @throws UserError if the file cannot be continued, or not be written
std::vector<bool> create_or_continue(const std::filesystem::path& path, const FileSchema& schema,
                                     bool allow_mixed_numerics);

}  // namespace gradflow::store
