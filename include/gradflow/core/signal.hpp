#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "gradflow/core/matrix.hpp"

namespace gradflow {

/// A batch of vectors that cannot under- or overflow: sample s holds `values[s][j] * 2^exponents[s]`.
///
/// Rows are padded (padded_rows) and columns are padded (padded_width); the padding holds zero with exponent
/// 0. A sample that is zero everywhere has exponent 0.
template <class Real>
struct Signal {
  Signal() = default;
  /// All zero. @param rows padded rows; @param features true width
  Signal(int rows, int features)
      : values(rows, padded_width<Real>(features)), exponents(std::size_t(rows), 0), width(features) {}

  /// Exponents zero, values unset: for a signal whose every row is written next.
  static Signal unset(int rows, int features) {
    Signal signal;
    signal.values = Matrix<Real>::unset(rows, padded_width<Real>(features));
    signal.exponents.assign(std::size_t(rows), 0);
    signal.width = features;
    return signal;
  }

  int rows() const noexcept { return values.rows(); }
  Signal copy() const {
    Signal other;
    other.values = values.copy();
    other.exponents = exponents;
    other.width = width;
    return other;
  }

  Matrix<Real> values;                  ///< [rows][padded width]
  std::vector<std::int32_t> exponents;  ///< [rows]
  int width = 0;                        ///< features; columns beyond hold zero
};

/// Rows of a stacked signal that belong to one point: `samples` samples from `first_sample` of its batch on
/// stand in rows first_row, first_row + 1, ...; zero rows fill up to a multiple of tile_rows.
struct RowRange {
  int point = 0;  ///< index in the bundle
  int first_row = 0;
  int samples = 0;
  int first_sample = 0;

  int rows() const noexcept { return padded_rows(samples); }
  int end_row() const noexcept { return first_row + rows(); }
};

/// The rows of one microbatch of a bundle, point after point, without gaps.
using Stack = std::vector<RowRange>;

/// The stack in tiles of at most tile_rows samples: tile t stands in rows t * tile_rows and following.
inline std::vector<RowRange> tiles_of(const Stack& stack) {
  std::vector<RowRange> tiles;
  for (const RowRange& range : stack) {
    for (int first = 0; first < range.samples; first += tile_rows) {
      tiles.push_back({range.point, range.first_row + first, std::min(tile_rows, range.samples - first),
                       range.first_sample + first});
    }
  }
  return tiles;
}

inline int rows_of(const Stack& stack) { return stack.empty() ? 0 : stack.back().end_row(); }

/// What travels from block to block: one signal for most blocks, several for those with more state (LSTM: h
/// and c).
template <class Real>
using State = std::vector<Signal<Real>>;

}  // namespace gradflow
