#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "gradflow/core/scaled.hpp"
#include "gradflow/stats/axes.hpp"
#include "gradflow/stats/formats.hpp"
#include "gradflow/stats/magnitudes.hpp"
#include "gradflow/stats/unit_samples.hpp"

namespace gradflow::stats {

/// Nonzero elements that a format would lose if every element were 2^(loss scale) times as large.
struct LossScaledCounts {
  std::array<std::int64_t, format_count> underflows{};
  std::array<std::int64_t, format_count> overflows{};

  void merge(const LossScaledCounts& next);
};

/// Sum of the samples of a signal: true values are values[j] * 2^exponent.
struct SampleSum {
  std::vector<double> values;  ///< [width]
  std::int64_t exponent = 0;

  void merge(const SampleSum& next);
  Scaled squared() const;  ///< |sum over samples|^2
};

/// Parts of a summary that most selections do without. Some grow with the batch or hold whole signals.
struct FurtherParts {
  Magnitudes magnitudes;
  LossScaledCounts scaled;
  SampleSum sum;
  UnitSamples samples;

  void merge(FurtherParts next);
};

/// What is wanted of these parts when nothing is merged any more; NaN where a part was not asked for.
struct FurtherFigures {
  static constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  template <std::size_t size>
  static constexpr std::array<double, size> unknown() {
    std::array<double, size> all;
    all.fill(nan);
    return all;
  }

  double log2_reference = nan;  ///< floor(log2 rms): where bin 0 of the octaves begins; -infinity for zeros
  std::array<double, octave_bins> octaves = unknown<octave_bins>();  ///< shares of the elements
  std::array<double, quantile_percents.size()> quantiles = unknown<quantile_percents.size()>();  ///< / rms
  double common_share = nan;
  Ranks ranks{nan, nan};
  std::array<double, lags.size()> lag_cosines = unknown<lags.size()>();
};

}  // namespace gradflow::stats
