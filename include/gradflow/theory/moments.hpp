#pragma once

#include <cstdint>
#include <vector>

#include "gradflow/core/scaled.hpp"
#include "gradflow/nn/activation.hpp"

namespace gradflow::theory {

/// Second moments of an activation phi under a Gaussian of variance q: all that mean-field theory asks of it.
///
/// Any q: where q has no effect but a power law (phi is its tangent at 0, or its asymptotes), that law is
/// used, so 1e-4000 and 2^10000 are as good as 1. A positively homogeneous phi obeys it everywhere, with the
/// arc-cosine kernel of Cho & Saul (NeurIPS 2009) for two inputs; sin has closed forms, because no quadrature
/// resolves sin(1e100 x). All else is quadrature.
class Moments {
 public:
  explicit Moments(const nn::Activation& activation);

  const nn::Activation& activation() const noexcept { return activation_; }

  /// E phi(z)^2. At q = 0: phi(0)^2.
  Scaled square(Scaled q) const;

  /// E phi'(z)^2. At q = 0: the mean of the squared one-sided slopes at 0, the limit.
  Scaled slope_square(Scaled q) const;

  /// d E phi(z)^2 / dq = E phi(z) phi'(z) z / q. At q = 0: its limit, to 1e-7 where
  /// phi(0) != 0.
  Scaled growth(Scaled q) const;

  /// E phi(z1) phi(z2) for correlation c of z1, z2.
  Scaled product(Scaled q, double c) const;

  /// E phi'(z1) phi'(z2): d E phi(z1) phi(z2) / d(q c).
  Scaled slope_product(Scaled q, double c) const;

 private:
  /// The power of two that q outside double's comfort adds to E phi^2.
  std::int64_t proportional(std::int64_t beyond) const;
  /// Whether such a q is so large that only the Gaussian's density at 0 still matters to E phi'^2.
  bool saturated(std::int64_t beyond) const;

  nn::Activation activation_;
  std::vector<double> breaks_;  ///< where phi or a derivative up to the second jumps
  double slope_above_ = 0;      ///< phi'(0+)
  double slope_below_ = 0;      ///< phi'(0-)
};

}  // namespace gradflow::theory
