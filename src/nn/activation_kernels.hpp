#pragma once

#include <cstdint>

#include "gradflow/core/scaled.hpp"

namespace gradflow::nn {

/// How a row turns stored values into arguments: x = z * first * second, cut at +-largest. Two factors
/// because 2^-149 to 2^124 is more than one float32 spans.
template <class Real>
struct ArgumentScale {
  Real first = 1;
  Real second = 1;
  Real inverse = 1;  ///< 2^-exponent, 0 where that underflows
};

/// What one sweep over a row of slopes finds.
template <class Real>
struct SlopeSweep {
  Real largest = 0;  ///< max|d phi'|
  std::int64_t saturated = 0;
  bool lost = false;  ///< some product is 0 though neither factor is, as far as this arithmetic tells
};

/// h[j] for j < width from z; returns max|h|.
template <class Real>
using ForwardRow = Real (*)(const ArgumentScale<Real>&, const Real* z, int width, Real* h, double parameter);

/// d[j] *= phi' for j < width. `zero_is_exact`: a slope of 0 is analytic.
template <class Real>
using SlopeRow = SlopeSweep<Real> (*)(const ArgumentScale<Real>&, const Real* z, int width, Real* d,
                                      double parameter, double threshold, bool zero_is_exact);

/// Units below the threshold.
template <class Real>
using SaturatedRow = std::int64_t (*)(const ArgumentScale<Real>&, const Real* z, int width, double parameter,
                                      double threshold);

/// One activation in one precision: called once per row, never per element.
template <class Real>
struct ActivationKernels {
  ForwardRow<Real> value;  ///< phi(x)
  ForwardRow<Real> ratio;  ///< z phi(x)/x; null where phi(0) != 0
  ForwardRow<Real> far;    ///< phi(x) * inverse; null where bounded
  SlopeRow<Real> slope;
  SaturatedRow<Real> saturated;
  Real (*value_at)(Real x, double parameter);
  Real (*slope_at)(Real x, double parameter);
  Scaled (*scaled_value)(Scaled x, Scaled parameter);  ///< null where packs lose nothing
  Scaled (*scaled_slope)(Scaled x, Scaled parameter);
  bool periodic;  ///< the argument has to keep the bits of its phase
};

}  // namespace gradflow::nn
