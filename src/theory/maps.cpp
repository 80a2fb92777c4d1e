#include "gradflow/theory/maps.hpp"

#include <algorithm>

#include "gradflow/core/errors.hpp"
#include "gradflow/theory/moments.hpp"

namespace gradflow::theory {
namespace {

Scaled square(double sigma) { return Scaled::of(sigma) * Scaled::of(sigma); }

}  // namespace

double q_map(const nn::Activation& phi, double sigma_w, double sigma_b, double q) {
  return (square(sigma_w) * Moments(phi).square(Scaled::of(q)) + square(sigma_b)).value();
}

double q_map_slope(const nn::Activation& phi, double sigma_w, double q) {
  return (square(sigma_w) * Moments(phi).growth(Scaled::of(q))).value();
}

double c_map(const nn::Activation& phi, double sigma_w, double sigma_b, double q, double c) {
  expect(-1 <= c && c <= 1, "a correlation in [-1, 1]");
  const Moments moments(phi);
  const Scaled variance = square(sigma_w) * moments.square(Scaled::of(q)) + square(sigma_b);
  const Scaled covariance = square(sigma_w) * moments.product(Scaled::of(q), c) + square(sigma_b);
  return std::clamp((covariance / variance).value(), -1.0, 1.0);  // against rounding
}

double c_map_slope(const nn::Activation& phi, double sigma_w, double sigma_b, double q, double c) {
  expect(-1 <= c && c <= 1, "a correlation in [-1, 1]");
  const Moments moments(phi);
  const Scaled variance = square(sigma_w) * moments.square(Scaled::of(q)) + square(sigma_b);
  return (square(sigma_w) * moments.slope_product(Scaled::of(q), c) * Scaled::of(q) / variance).value();
}

double chi1(const nn::Activation& phi, double sigma_w, double q) {
  return (square(sigma_w) * Moments(phi).slope_square(Scaled::of(q))).value();
}

}  // namespace gradflow::theory
