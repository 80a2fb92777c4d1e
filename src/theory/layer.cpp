#include "layer.hpp"

#include <cmath>

namespace gradflow::theory {

Layer::Layer(const nn::Activation& phi, double sigma_w, double sigma_b)
    : Layer(Moments(phi), scaled_square(sigma_w), scaled_square(sigma_b)) {}

double Layer::c_map(Scaled q, double c) const {
  return ((weight_square * moments.product(q, c) + bias_square) / q_map(q)).value();
}

double Layer::c_slope(Scaled q, double c) const {
  return (weight_square * moments.slope_product(q, c) * q / q_map(q)).value();
}

double Layer::drift(double log2_q) const {
  const Scaled q = power_of_two(log2_q);
  const Scaled next = q_map(q);
  return ((next - q) / (next + q)).value();
}

Scaled scaled_square(double x) { return Scaled::of(x) * Scaled::of(x); }

Scaled power_of_two(double x) {
  const double floor = std::floor(x);
  return Scaled::of(std::exp2(x - floor), std::int64_t(floor));
}

double log2_of(Scaled q) { return std::log2(q.mantissa) + double(q.exponent); }

}  // namespace gradflow::theory
