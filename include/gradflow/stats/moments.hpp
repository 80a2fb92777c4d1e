#pragma once

#include <cstdint>

#include "gradflow/core/scaled.hpp"

namespace gradflow::stats {

/// Central moments, sum of squares and range of numbers of any size, mergeable.
///
/// A number x is held as x * 2^-exponent with an exponent near that of the largest, so nothing over- or
/// underflows that a double beside the largest could show. The moments merge by the pairwise formulas of
/// Chan, Golub and LeVeque (1979) and Pebay (2008): no difference of large squares is ever taken. Ratios are
/// NaN where they are 0/0.
struct Moments {
  std::int64_t count = 0;
  std::int64_t exponent = no_exponent;  ///< of every number below; no_exponent if all are zero
  double mean = 0;
  double m2 = 0;       ///< sum of (x - mean)^2
  double m3 = 0;       ///< sum of (x - mean)^3
  double m4 = 0;       ///< sum of (x - mean)^4
  double squares = 0;  ///< sum of x^2, uncentred
  double min = 0;
  double max = 0;

  /// Takes the numbers of `next` in. An empty operand leaves the other's bits as they are.
  void merge(const Moments& next);

  Scaled mean_square() const;  ///< q
  Scaled absmax() const;
  double mean_value()
      const;  ///< as a double: of a signal that stays in its range; NaN if nothing was measured
  double mean_over_rms() const;
  double variance_over_mean_square() const;  ///< population variance
  double skewness() const;                   ///< m3 / m2^1.5 of the population moments; NaN if m2 = 0
  double kurtosis() const;                   ///< m4 / m2^2, 3 for a normal; NaN if m2 = 0
  double min_over_rms() const;
  double max_over_rms() const;

  /// Below every exponent a signal can have, and far from the ends of int64.
  static constexpr std::int64_t no_exponent = -(std::int64_t(1) << 40);

 private:
  void shift_to(std::int64_t larger_exponent);
  double rms() const;
};

}  // namespace gradflow::stats
