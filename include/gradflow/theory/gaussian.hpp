#pragma once

#include <functional>
#include <vector>

namespace gradflow::theory {

/// A function of one preactivation.
using Curve = std::function<double(double)>;

/// What a quadrature must know of a curve whose features around z = 0 have size 1.
struct Shape {
  std::vector<double> breaks;  ///< where the curve or a derivative jumps
  bool algebraic_tails =
      false;  ///< it approaches its asymptotes like a power of z, not like exp(-|z|) or faster
};

/// E f(z) for z ~ N(mean, deviation^2), to 1e-12 of E |f| for every f this module integrates: activations,
/// their slopes and products of two of them.
///
/// Smooth f and deviation up to 4: the trapezoidal rule, which converges geometrically for functions analytic
/// in a strip (Trefethen & Weideman 2014). Otherwise Gauss-Legendre panels, cut at the breaks and, where f's
/// features around z = 0 are narrow against the Gaussian, at z = 0, +-2, +-6, +-18, +-54.
/// @param deviation  >= 0; 0 gives f(mean)
/// @throws UserError if it has not converged: f has a kink that is not among the breaks
double gaussian_mean(const Curve& f, double mean, double deviation, const Shape& shape);

/// E f(z1) f(z2) for z1, z2 ~ N(0, deviation^2) with correlation c: as the mean over z1 of f(z1) E[f(z2) |
/// z1].
///
/// The inner mean is f smoothed over deviation * sqrt(1 - c^2); the outer panels resolve that width around
/// each break.
/// @pre -1 <= c <= 1
double gaussian_product_mean(const Curve& f, double deviation, double c, const Shape& shape);

}  // namespace gradflow::theory
