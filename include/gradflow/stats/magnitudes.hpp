#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradflow/core/scaled.hpp"

namespace gradflow::stats {

/// Counts by whole-numbered cells, ascending; cells without a count are left out, so any range will do.
using CellCounts = std::vector<std::pair<std::int64_t, std::int64_t>>;

/// The sums of both. Whole numbers: the same in any order.
CellCounts merged(const CellCounts& a, const CellCounts& b);

/// Cells of magnitudes: 128 to an octave. Cell 128 e + s, 0 <= s < 128, holds 2^e (1 + s/128) <= x <
/// 2^e (1 + (s+1)/128) for any e, so its middle is within 1/256 of every x in it.
inline constexpr int cells_per_octave = 128;

/// @pre magnitude > 0
std::int64_t cell_of(double magnitude);

/// 2^e (1 + (s + 1/2) / 128)
Scaled middle_of(std::int64_t cell);

/// How many elements of a signal have which sign and magnitude, exponents included: mergeable, and the same
/// bits in any order.
class Magnitudes {
 public:
  Magnitudes() = default;
  Magnitudes(CellCounts negative, CellCounts positive)
      : negative_(std::move(negative)), positive_(std::move(positive)) {}

  void merge(const Magnitudes& next);

  /// An element that is stored as 0: its octave is known, its sign is lost.
  void count_lost(std::int64_t octave);

  /// Elements with first <= floor(log2 |x|) < end, whatever their sign, lost ones included.
  std::int64_t in_octaves(std::int64_t first, std::int64_t end) const;

  /// The middle of the cell of the smallest x that at least `percent` of all elements do not exceed; 0 if
  /// that is a zero or a lost element.
  /// @param elements  all of the signal, zeros too @pre elements > 0, 0 < percent <= 100
  Scaled quantile(int percent, std::int64_t elements) const;

 private:
  CellCounts negative_, positive_;  ///< by cell_of(|x|)
  CellCounts lost_;                 ///< by octave
};

/// Counts the magnitudes of a tile: densely in the 32 octaves that end with its largest, one by one below.
class MagnitudeCounter {
 public:
  /// @param top_octave  floor(log2) of the largest magnitude
  explicit MagnitudeCounter(std::int64_t top_octave);

  /// Elements v * 2^exponent; zeros are not counted.
  template <class Real>
  void add(std::span<const Real> elements, std::int64_t exponent);

  Magnitudes counts() &&;

 private:
  static constexpr int dense_octaves = 32;
  struct Side {
    std::vector<std::int64_t> dense;
    std::vector<std::int64_t> far;  ///< cells of the others, in the order of the elements
  };

  void count(Side& side, std::int64_t cell);
  CellCounts cells_of(Side& side) const;

  std::int64_t first_;  ///< cell of the dense ones
  Side negative_, positive_;
};

}  // namespace gradflow::stats
