#pragma once

#include <filesystem>

namespace gradflow::store {

/// The file a name stands for: symbolic links of its last part are followed, one that leads to nothing too.
/// The lock, the new file and its rename then meet beside the file, not beside the link.
/// @throws UserError if the links lead in a circle
std::filesystem::path followed(std::filesystem::path name);

}  // namespace gradflow::store
