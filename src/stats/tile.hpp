#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "gradflow/stats/signal_summary.hpp"
#include "row.hpp"

namespace gradflow::stats {

/// One sample v * 2^exponent of a tile, after the first two passes.
template <class Real>
struct Sample {
  const Real* row;
  std::int64_t exponent;
  RowFacts<Real> facts;           ///< of v
  std::int64_t leading_exponent;  ///< of its largest element, 2^exponent included; no_exponent for zeros

  Real absmax() const { return facts.max > -facts.min ? facts.max : -facts.min; }
  bool has_norm() const { return facts.squares != 0; }
};

/// At most tile_rows samples of one signal, read once for the numbers every part needs.
template <class Real>
class Tile {
 public:
  Tile(const Signal<Real>& signal, RowRange rows);

  std::int64_t zeros() const;
  /// Mean and m2 are NaN unless `what` has moments, m3 and m4 unless it has shape.
  Moments moments(What what) const;
  LogNorms norms() const;
  std::vector<double> direction_sum() const;
  std::vector<std::uint8_t> live_units() const;
  /// @param scale  log2 of what the elements are multiplied by first
  std::array<std::int64_t, format_count> underflows(int scale = 0) const;
  std::array<std::int64_t, format_count> overflows(int scale) const;
  Magnitudes magnitudes() const;
  SampleSum sample_sum() const;
  UnitSamples unit_samples() const;

 private:
  std::int64_t largest_exponent() const;  ///< of the largest element of all samples
  std::span<const Sample<Real>> samples() const { return {samples_.data(), std::size_t(count_)}; }
  /// Sum over the samples that have a norm of factor * v. @param factor_of  a sample
  template <class FactorOf>
  std::vector<double> weighted_sum(FactorOf factor_of) const;
  template <bool shape>
  void add_central(Moments& moments) const;

  std::array<Sample<Real>, tile_rows> samples_;
  int count_;
  int width_;
};

}  // namespace gradflow::stats
