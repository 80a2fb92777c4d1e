#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace gradflow::store {

/// Whose rows are taken of a point that several files have measured with different results.
enum class Prefer {
  error,  ///< nobody's: refuse
  first,  ///< of the file that is named first
  newer   ///< of the file whose last launch began last
};

/// @throws UserError for another name
Prefer prefer_of(std::string_view name);

/// Points of a merged or finalized file.
struct Joined {
  std::uint64_t points = 0;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  std::uint64_t conflicts = 0;  ///< points whose rows differed between files
};

/// Joins the finished points of several files: shards of one sweep, or runs of compatible sweeps. A point is
/// known by its hash; one that is done goes before one that failed. Points stand in the order of the files;
/// files of the same points, as shards are, keep theirs. Torn rows are left out. The files may be written
/// meanwhile: what was committed is taken.
/// @param out  a new file; nothing is left behind on failure
/// @throws UserError if `out` exists, the files store other statistics or layers of a point, were measured
///                   under other numerics (unless that is allowed), or results differ under Prefer::error
Joined merge(const std::filesystem::path& out, const std::vector<std::filesystem::path>& in, Prefer prefer,
             bool allow_mixed_numerics);

/// The same points in a compressed file for archiving, with NaN in every row that is not finished. Opens like
/// the original; a run that continues it begins a new file with its points.
/// @throws UserError if `out` exists or `in` is no result file
Joined finalize(const std::filesystem::path& in, const std::filesystem::path& out);

}  // namespace gradflow::store
