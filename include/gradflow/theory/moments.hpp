#pragma once

#include "gradflow/core/scaled.hpp"
#include "gradflow/nn/activation.hpp"
#include "gradflow/theory/gaussian.hpp"

namespace gradflow::theory {

/// Second moments of an activation phi under a Gaussian of variance q: all that mean-field theory asks of it.
///
/// Any q: where q has no effect but a power law (phi is its tangent at 0, or its asymptotes), that law is
/// used, so 1e-4000 and 2^10000 are as good as 1. A positively homogeneous phi obeys it everywhere, with the
/// arc-cosine kernel of Cho & Saul (NeurIPS 2009) for two inputs; sin has closed forms, because no quadrature
/// resolves sin(1e100 x), and so has erf (Williams, NIPS 1997). All else is quadrature.
class Moments {
 public:
  explicit Moments(const nn::Activation& activation);

  const nn::Activation& activation() const noexcept { return activation_; }

  /// Where phi or a derivative that matters to a quadrature jumps.
  const std::vector<double>& breaks() const noexcept { return shape_.breaks; }

  /// E phi(z)^2. At q = 0: phi(0)^2.
  Scaled square(Scaled q) const;

  /// E phi(z). Where only power laws are left, to 2^-55 of sqrt(E phi^2).
  Scaled mean(Scaled q) const;

  /// E phi'(z)^2. At q = 0: its limit, the mean of the squared one-sided slopes at 0.
  Scaled slope_square(Scaled q) const;

  /// E phi'(z)^4.
  Scaled slope_fourth(Scaled q) const;

  /// d E phi(z)^2 / dq = E phi(z) phi'(z) z / q. At q = 0: its limit, to 1e-7 where
  /// phi(0) != 0.
  Scaled growth(Scaled q) const;

  /// E phi(z1) phi(z2) for correlation c of z1, z2.
  Scaled product(Scaled q, double c) const;

  /// E phi'(z1) phi'(z2): d E phi(z1) phi(z2) / d(q c).
  Scaled slope_product(Scaled q, double c) const;

  /// The q the integrals are evaluated at: q itself, or the place where phi's power laws begin. Equal inner
  /// q: equal correlation map.
  Scaled inner(Scaled q) const;
  /// square(q) / square(inner(q)): a power of q.
  Scaled square_ratio(Scaled q) const;
  /// The same for the density of z near 0, which is all that E phi'^2 of a saturated phi still depends on.
  Scaled density_ratio(Scaled q) const;

 private:
  // Of a positively homogeneous phi: sums over both signs of z1 of phi' phi' for z1, z2 of equal and of
  // opposite sign. Scaled: leaky_relu may have any slope.
  Scaled same_side() const;
  Scaled opposite_sides() const;

  nn::Activation activation_;
  Shape shape_;
  double slope_above_ = 0;  ///< phi'(0+)
  double slope_below_ = 0;  ///< phi'(0-)
};

}  // namespace gradflow::theory
