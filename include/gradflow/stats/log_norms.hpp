#pragma once

#include <cstdint>
#include <span>

namespace gradflow::stats {

/// log10 of the L2 norms of samples, mergeable; samples of norm zero are counted apart. Without samples all
/// is NaN.
struct LogNorms {
  std::int64_t nonzero = 0;  ///< samples with a norm
  std::int64_t zero = 0;     ///< samples without
  double mean = 0;           ///< of log10 norm over the nonzero samples
  double m2 = 0;             ///< sum of squared deviations from it

  /// @param logs  log10 norms of the nonzero samples
  static LogNorms of(std::span<const double> logs, std::int64_t zero_samples);
  void merge(const LogNorms& next);

  double log10_mean() const;     ///< -infinity if no sample has a norm
  double log10_std() const;      ///< population; NaN if no sample has a norm
  double zero_fraction() const;  ///< share of all samples
};

}  // namespace gradflow::stats
