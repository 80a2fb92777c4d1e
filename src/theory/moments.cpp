#include "gradflow/theory/moments.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gradflow::theory {
namespace {

/// Beyond 2^+-this phi has reached its power laws: they are off by sqrt(q) at a small q, by 1/sqrt(q) at a
/// large one.
constexpr int farthest_exponent = 110;

/// Whether phi'' jumps at 0, as it does for elu, selu and softsign.
bool bends_at_zero(const nn::Activation& phi) {
  const double h = 1e-4;
  const double above = (phi.slope(h) - phi.slope(0)) / h;
  const double below = (phi.slope(0) - phi.slope(-h)) / h;
  return std::abs(above - below) > 0.01;
}

std::vector<double> breaks_of(const nn::Activation& phi) {
  std::vector<double> breaks = phi.kinks();
  if (bends_at_zero(phi) && std::ranges::find(breaks, 0.0) == breaks.end()) breaks.push_back(0);
  return breaks;
}

bool is_sine(const nn::Activation& phi) { return phi.name() == "sin"; }
bool is_erf(const nn::Activation& phi) { return phi.name() == "erf"; }

/// P(x1 > 0, x2 > 0) for unit Gaussians of correlation c.
double both_positive(double c) { return (std::numbers::pi - std::acos(c)) / (2 * std::numbers::pi); }

/// E max(x1, 0) max(x2, 0): the arc-cosine kernel of degree 1.
double rectified_product(double c) {
  return std::sqrt((1 - c) * (1 + c)) / (2 * std::numbers::pi) + c * both_positive(c);
}

double sine_product(double q, double c) {  // exp(-q) sinh(qc), safe at both ends
  return std::exp(-q * (1 - std::abs(c))) * std::copysign(std::expm1(-2 * q * std::abs(c)) / 2, c);
}

double cosine_product(double q, double c) {  // exp(-q) cosh(qc)
  return (std::exp(-q * (1 - c)) + std::exp(-q * (1 + c))) / 2;
}

/// (1 + 2q)^2 - (2qc)^2, without cancellation where c is near 1: all moments of erf are made of it (Williams,
/// Computing with Infinite Networks, NIPS 1997).
double erf_determinant(double q, double c) { return 1 + 4 * q + 4 * q * q * (1 - c) * (1 + c); }

/// 2/pi asin(2qc / (1 + 2q)).
double erf_product(double q, double c) {
  return 2 / std::numbers::pi * std::atan2(2 * q * c, std::sqrt(erf_determinant(q, c)));
}

double erf_slope_product(double q, double c) {
  return 4 / std::numbers::pi / std::sqrt(erf_determinant(q, c));
}

}  // namespace

Moments::Moments(const nn::Activation& activation)
    : activation_(activation),
      shape_{breaks_of(activation), activation.bounded()},
      slope_above_(activation.slope(1)),
      slope_below_(activation.slope(-1)) {}

Scaled Moments::same_side() const {
  return Scaled::of(slope_above_) * Scaled::of(slope_above_) +
         Scaled::of(slope_below_) * Scaled::of(slope_below_);
}

Scaled Moments::opposite_sides() const {
  return Scaled::of(2) * Scaled::of(slope_above_) * Scaled::of(slope_below_);
}

Scaled Moments::inner(Scaled q) const {
  if (activation_.positively_homogeneous()) return Scaled::of(1);
  const Scaled least = Scaled::of(1, -farthest_exponent);
  const Scaled largest = Scaled::of(1, farthest_exponent);
  return q < least ? least : largest < q ? largest : q;
}

Scaled Moments::square_ratio(Scaled q) const {
  const Scaled from = inner(q);
  const bool linear = q < from ? activation_.zero_at_zero() : !activation_.bounded();
  return linear ? q / from : Scaled::of(1);
}

Scaled Moments::density_ratio(Scaled q) const {
  const Scaled from = inner(q);
  const bool saturated = activation_.bounded() && !is_sine(activation_) && from < q;
  return saturated ? sqrt(from / q) : Scaled::of(1);
}

Scaled Moments::square(Scaled q) const {
  if (activation_.positively_homogeneous()) return q * slope_square(q);
  const double value = inner(q).value();
  if (is_sine(activation_)) return Scaled::of(-std::expm1(-2 * value) / 2) * square_ratio(q);
  if (is_erf(activation_)) return Scaled::of(erf_product(value, 1)) * square_ratio(q);
  const Curve phi_squared = [this](double z) { return activation_.value(z) * activation_.value(z); };
  return Scaled::of(gaussian_mean(phi_squared, 0, std::sqrt(value), shape_)) * square_ratio(q);
}

Scaled Moments::slope_square(Scaled q) const {
  if (activation_.positively_homogeneous()) {
    return same_side() * Scaled::of(0.5);
  }
  const double value = inner(q).value();
  if (is_sine(activation_)) return Scaled::of((1 + std::exp(-2 * value)) / 2);
  if (is_erf(activation_)) return Scaled::of(erf_slope_product(value, 1)) * density_ratio(q);
  const Curve slope_squared = [this](double z) { return activation_.slope(z) * activation_.slope(z); };
  return Scaled::of(gaussian_mean(slope_squared, 0, std::sqrt(value), shape_)) * density_ratio(q);
}

Scaled Moments::mean(Scaled q) const {
  if (activation_.positively_homogeneous()) {
    return (Scaled::of(slope_above_) - Scaled::of(slope_below_)) * sqrt(q) *
           Scaled::of(1 / std::sqrt(2 * std::numbers::pi));
  }
  if (is_sine(activation_)) return {};
  const Curve phi = [this](double z) { return activation_.value(z); };
  return Scaled::of(gaussian_mean(phi, 0, std::sqrt(inner(q).value()), shape_)) * sqrt(square_ratio(q));
}

Scaled Moments::slope_fourth(Scaled q) const {
  if (activation_.positively_homogeneous()) {
    const Scaled above = Scaled::of(slope_above_) * Scaled::of(slope_above_);
    const Scaled below = Scaled::of(slope_below_) * Scaled::of(slope_below_);
    return (above * above + below * below) * Scaled::of(0.5);
  }
  const double value = inner(q).value();
  if (is_sine(activation_)) return Scaled::of((3 + 4 * std::exp(-2 * value) + std::exp(-8 * value)) / 8);
  if (is_erf(activation_)) {
    const double at_zero = 4 / std::numbers::pi;
    return Scaled::of(at_zero * at_zero / std::sqrt(1 + 8 * value)) * density_ratio(q);
  }
  const Curve slope_fourth = [this](double z) { return std::pow(activation_.slope(z), 4); };
  return Scaled::of(gaussian_mean(slope_fourth, 0, std::sqrt(value), shape_)) * density_ratio(q);
}

Scaled Moments::growth(Scaled q) const {
  if (activation_.positively_homogeneous()) return slope_square(q);
  double value = inner(q).value();
  if (is_sine(activation_)) return Scaled::of(std::exp(-2 * value));
  const Scaled density = density_ratio(q);
  if (is_erf(activation_))
    return Scaled::of(erf_slope_product(value, 1) / (1 + 2 * value)) * density * density * density;
  // Where phi(0) != 0 the mean is a small difference: below this q it would lose more digits than its limit
  // differs by.
  if (!activation_.zero_at_zero()) value = std::max(value, 0x1p-26);
  const double deviation = std::sqrt(value);
  const Curve gain = [&](double z) { return activation_.value(z) * activation_.slope(z) * (z / deviation); };
  return Scaled::of(gaussian_mean(gain, 0, deviation, shape_) / deviation) * density * density * density;
}

Scaled Moments::product(Scaled q, double c) const {
  if (c == 1) return square(q);
  if (activation_.positively_homogeneous()) {
    return q * (same_side() * Scaled::of(rectified_product(c)) -
                opposite_sides() * Scaled::of(rectified_product(-c)));
  }
  const double value = inner(q).value();
  if (is_sine(activation_)) return Scaled::of(sine_product(value, c)) * square_ratio(q);
  if (is_erf(activation_)) return Scaled::of(erf_product(value, c)) * square_ratio(q);
  const Curve phi = [this](double z) { return activation_.value(z); };
  return Scaled::of(gaussian_product_mean(phi, std::sqrt(value), c, shape_)) * square_ratio(q);
}

Scaled Moments::slope_product(Scaled q, double c) const {
  if (c == 1) return slope_square(q);
  if (activation_.positively_homogeneous()) {
    return same_side() * Scaled::of(both_positive(c)) + opposite_sides() * Scaled::of(both_positive(-c));
  }
  const double value = inner(q).value();
  if (is_sine(activation_)) return Scaled::of(cosine_product(value, c));
  const Curve slope = [this](double z) { return activation_.slope(z); };
  const Scaled density = density_ratio(q);
  if (is_erf(activation_)) return Scaled::of(erf_slope_product(value, c)) * density * density;
  return Scaled::of(gaussian_product_mean(slope, std::sqrt(value), c, shape_)) * density * density;
}

}  // namespace gradflow::theory
