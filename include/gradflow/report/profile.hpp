#pragma once

#include <string>
#include <vector>

#include "gradflow/report/configuration.hpp"

namespace gradflow::report {

/// One statistic of one configuration: a row of values per measured seed.
struct SeedRows {
  std::vector<int> layers;                   ///< stored layers, ascending, from 1
  std::vector<std::vector<double>> of_seed;  ///< [seed][layer]
};

/// One number per layer of one point. @throws UserError if the file keeps the column in another shape
std::vector<double> layer_values(const store::ResultFile& file, const std::string& column,
                                 std::uint64_t point);

/// @throws UserError if the points of the configuration have different layers
/// @pre the configuration has a measured point; the column is per layer and has no further dimension
SeedRows read_rows(const store::ResultFile& file, const Configuration& configuration,
                   const std::string& column);

/// The same of a column that has an index in place of layers. What no seed has, behind the last value, is
/// left out; `layers` are the indices, from 1.
SeedRows read_by_index(const store::ResultFile& file, const Configuration& configuration,
                       const std::string& column);

/// A statistic by layer: its mean over seeds, and the band from the smallest to the largest seed.
///
/// Only finite values count; where no seed has one all three are NaN.
struct Profile {
  std::vector<int> layers;
  std::vector<double> mean;
  std::vector<double> low;
  std::vector<double> high;
};

Profile profile_of(const SeedRows& rows);

/// Values that are minus infinity, the logarithm of an exact zero, and values that are no number.
struct Gaps {
  int zeros = 0;
  int undefined = 0;
};

Gaps gaps_of(const SeedRows& rows);

}  // namespace gradflow::report
