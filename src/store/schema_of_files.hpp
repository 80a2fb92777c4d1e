#pragma once

#include <cstdint>
#include <vector>

#include "gradflow/store/result_file.hpp"
#include "gradflow/store/schema.hpp"

namespace gradflow::store {

/// Where a point of a new file was described first.
struct Origin {
  std::size_t file = 0;
  std::uint64_t point = 0;
};

/// Every point of the files once, in the order of the files.
std::vector<Origin> distinct_points(const std::vector<ResultFile>& files);

/// The schema of a file of these points, read from the files. A key that is fixed in every file to one value
/// stays fixed; any other is swept.
/// @pre the files have the same columns; they outlive the schema
FileSchema schema_of(const std::vector<ResultFile>& files, const std::vector<Origin>& points);

}  // namespace gradflow::store
