#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "gradflow/store/result_store.hpp"
#include "gradflow/store/schema.hpp"

namespace gradflow::store {

/// Where the measuring of a file begins.
struct Continuation {
  std::vector<bool> unfinished;       ///< for each point, whether it is still to be measured
  std::vector<std::uint64_t> forget;  ///< points among them whose status says finished: torn, or tried again
  Tally found;                        ///< the finished points that are wanted
  std::uint64_t finished = 0;         ///< in the whole file
};

/// What a launch asks of a file that is there; see StoreOptions.
struct Terms {
  bool allow_mixed_numerics = false;
  bool retry_failed = false;
  std::vector<bool> wanted = {};
};

/// Makes sure that `path` is a result file of this sweep: creates it, leaves it as it is, or replaces it by a
/// new skeleton that holds its finished points. The file appears under its name only when it is complete.
/// @pre the caller holds the lock of `path`
/// @throws UserError if the file cannot be continued, or not be written
Continuation create_or_continue(const std::filesystem::path& path, const FileSchema& schema,
                                const Terms& terms);

}  // namespace gradflow::store
