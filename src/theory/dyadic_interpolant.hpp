#pragma once

#include <array>
#include <map>
#include <utility>

#include "gradflow/theory/gaussian.hpp"

namespace gradflow::theory {

/// A costly function on (0, pi/2], evaluated at Chebyshev points of the intervals (pi/4, pi/2], (pi/8, pi/4],
/// ... that are asked for, and interpolated (barycentric; Berrut & Trefethen 2004).
///
/// A function whose only singularity is at 0 is analytic around each interval: 20 points leave 5.8^-20 =
/// 5e-16.
class DyadicInterpolant {
 public:
  explicit DyadicInterpolant(Curve f) : f_(std::move(f)) {}

  /// @pre 0 < x <= pi/2
  double operator()(double x);

 private:
  using Samples = std::array<double, 20>;

  const Samples& samples_of(int interval);

  Curve f_;
  std::map<int, Samples> samples_;
};

}  // namespace gradflow::theory
