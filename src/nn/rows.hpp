#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "gradflow/core/blas.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/core/rescale.hpp"
#include "gradflow/nn/block.hpp"

/// Walking over the rows of a stacked signal.
namespace gradflow::nn {

/// 2^-shift in Real, zero where nothing of a shifted value would be left.
template <class Real>
Real shifted_by(std::int64_t shift) {
  return std::ldexp(Real(1), -int(std::min<std::int64_t>(shift, 4000)));
}

/// Rows of one product call: the batch shared out over the threads, in 32-row calls where the shape demands
/// it.
template <class Real>
int slice_rows(std::size_t tiles, const Matrix<Real>& weight) {
  const int slice = (int(tiles) + concurrency() - 1) / concurrency() * tile_rows;
  return slices_keep_bits<Real>(slice, weight.cols(), weight.rows()) ? slice : tile_rows;
}

/// Calls body(first_row, tiles) for slices of `slice` rows, in parallel.
template <class Body>
void for_slices(const std::vector<RowRange>& tiles, int slice, Body body) {
  const std::size_t per_slice = std::size_t(slice / tile_rows);
  parallel_for(int((tiles.size() + per_slice - 1) / per_slice), [&](int i) {
    const std::size_t first = std::size_t(i) * per_slice;
    const std::size_t end = std::min(first + per_slice, tiles.size());
    body(int(first) * tile_rows, std::span(tiles).subspan(first, end - first));
  });
}

inline int rows_of(std::span<const RowRange> tiles) { return int(tiles.size()) * tile_rows; }

/// Calls body(row) for the samples of a tile.
template <class Body>
void for_samples(const RowRange& tile, Body body) {
  for (int row = tile.first_row; row < tile.first_row + tile.samples; ++row) body(row);
}

/// Calls body(row) for the padding of a tile.
template <class Body>
void for_padding(const RowRange& tile, Body body) {
  for (int row = tile.first_row + tile.samples; row < tile.first_row + tile_rows; ++row) body(row);
}

/// Failure codes of one pass, a place per row so that tasks do not meet.
class RowCodes {
 public:
  explicit RowCodes(int rows) : codes_(std::size_t(rows), FailureCode::none) {}

  FailureCode& operator[](int row) { return codes_[std::size_t(row)]; }

  /// Keeps the first of a row.
  void learn(int row, FailureCode code) {
    if (codes_[std::size_t(row)] == FailureCode::none) codes_[std::size_t(row)] = code;
  }

  void add_to(Failures& failures, const std::vector<RowRange>& tiles, int layer) const {
    for (const RowRange& tile : tiles) {
      for_samples(tile, [&](int row) {
        if (codes_[std::size_t(row)] == FailureCode::none) return;
        Failure& first = failures[std::size_t(tile.point)];
        const int sample = tile.first_sample + row - tile.first_row;
        first = first_of(first, Failure{codes_[std::size_t(row)], layer, sample});
      });
    }
  }

 private:
  std::vector<FailureCode> codes_;
};

/// A sample that failed goes on as zeros.
template <class Real>
void clear_sample(Signal<Real>& signal, int row) {
  std::ranges::fill(signal.values.row(row), Real(0));
  signal.exponents[std::size_t(row)] = 0;
}

template <class Real>
void scale(std::span<Real> row, Real factor) {
  for (Real& v : row) v *= factor;
}

/// row * 2^exponent += bias * 2^bias_exponent: the larger exponent wins and the smaller operand is shifted. A
/// zero row has no say: its exponent means nothing, and a tiny bias is all there is.
template <class Real>
void add_bias(std::span<Real> row, std::int32_t& exponent, std::span<const Real> bias,
              std::int32_t bias_exponent) {
  if (exponent > bias_exponent && max_abs<Real>(row) == 0) exponent = bias_exponent;
  const std::int32_t common = std::max(exponent, bias_exponent);
  const Real shift_row = shifted_by<Real>(std::int64_t(common) - exponent);
  const Real shift_bias = shifted_by<Real>(std::int64_t(common) - bias_exponent);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = row[j] * shift_row + bias[j] * shift_bias;
  exponent = common;
}

/// Counts of a pass through phi', told to the observer point by point.
template <class Real>
void report(const std::vector<SlopeCounts>& counts, const std::vector<RowRange>& tiles,
            std::optional<Role> act, std::optional<Role> gradient, Observer<Real>& observer) {
  for (const RowRange& tile : tiles) {
    std::int64_t saturated = 0;
    for_samples(tile, [&](int row) {
      const SlopeCounts& of_sample = counts[std::size_t(row)];
      saturated += of_sample.saturated;
      if (gradient && !of_sample.lost_log2.empty()) {
        observer.count_lost(*gradient, tile.point, of_sample.lost_log2);
      }
    });
    if (act) observer.count_saturated(*act, tile.point, saturated);
  }
}

}  // namespace gradflow::nn
