#pragma once

#include <array>

namespace gradflow::stats {

/// The coordinates of the file's dimensions `bin`, `quantile` and `lag`.

/// Octaves of a histogram relative to that of the root mean square, from the first on; the bins at both ends
/// hold what lies beyond, too.
inline constexpr int first_octave = -40;
inline constexpr int octave_bins = 49;

/// Percent of the elements that do not exceed a quantile.
inline constexpr std::array quantile_percents{1, 5, 25, 50, 75, 95, 99};

/// Distances in the batch of two samples that are compared.
inline constexpr std::array lags{1, 2, 4, 8, 16, 32, 64, 128};

}  // namespace gradflow::stats
