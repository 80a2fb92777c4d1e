#include "gradflow/theory/phase.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "layer.hpp"
#include "sign_changes.hpp"

namespace gradflow::theory {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// A fixed point of any size; infinite where q grows for ever, NaN where nothing is known.
struct End {
  Scaled q;
  Stability stability = Stability::none;
};

End at_zero(bool attracts) { return {Scaled(), attracts ? Stability::attracting : Stability::repelling}; }
End nowhere() { return {Scaled::of(infinity), Stability::none}; }
End unknown() { return {Scaled::of(nan), Stability::none}; }

/// q' = chi1 q + sigma_b^2, a straight line.
End end_of_line(const Layer& layer, Scaled start) {
  const Scaled chi1 = layer.chi1(Scaled::of(1));
  const double excess = (chi1 - Scaled::of(1)).value();
  const bool no_bias = layer.bias_square.is_zero();
  if (std::abs(excess) < resolution) return no_bias ? End{Scaled::of(1), Stability::marginal} : nowhere();
  if (excess < 0) return {layer.bias_square / (Scaled::of(1) - chi1), Stability::attracting};
  return start.is_zero() ? at_zero(false) : nowhere();
}

/// An interval of log2 q.
struct Interval {
  double low = -power_laws_from;
  double high = power_laws_from;

  /// The interval extended to x; as it is if x is the logarithm of 0, infinity or NaN.
  Interval with(double x) const {
    return std::isfinite(x) ? Interval{std::min(low, x), std::max(high, x)} : *this;
  }
};

/// Holds every fixed point but 0.
Interval interval_of(const Layer& layer) {
  Interval interval;
  const Scaled least = layer.q_map(Scaled());
  if (!least.is_zero()) interval = interval.with(log2_of(least) - 2);  // q' > q below
  // Beyond this q' is constant, or a q + sigma_b^2 that meets q only if a is 1 to rounding.
  return interval.with(log2_of(layer.q_map(Scaled::of(1))) + 50);
}

/// From `here` to the first change of sign. A way q' does not decrease along has no other end.
End follow(const Function& drift, const std::vector<Decided>& signs, std::size_t here) {
  const int direction = signs[here].sign;
  while (signs[here].sign == direction) {
    if (direction > 0 ? here + 1 == signs.size() : here == 0)
      return direction > 0 ? nowhere() : at_zero(true);
    here = direction > 0 ? here + 1 : here - 1;
  }
  const std::size_t before = direction > 0 ? here - 1 : here + 1;
  return {power_of_two(root_between(drift, signs[before].x, signs[here].x)), Stability::attracting};
}

/// q' grows with q, so q moves one way.
End end_of_curve(const Layer& layer, Scaled start) {
  const Function drift = [&](double x) { return layer.drift(x); };
  const Interval interval = interval_of(layer);
  if (start.is_zero() && layer.q_map(start).is_zero()) {
    return at_zero(lowest_sign(drift, interval.low, interval.high) < 0);
  }
  const double x = start.is_zero() ? interval.low : log2_of(start);
  const Interval all = interval.with(x);
  std::vector<Decided> signs = decided_signs(drift, all.low, all.high);
  if (signs.empty()) return unknown();
  // A start on a fixed point has no sign; what lies above it has.
  auto here = std::ranges::lower_bound(signs, x, {}, &Decided::x);
  if (const int sign = decided_sign(drift(x)); sign != 0) here = signs.insert(here, {x, sign});
  if (here == signs.end()) --here;
  return follow(drift, signs, std::size_t(here - signs.begin()));
}

End end_of(const Layer& layer, double input_square) {
  const Scaled start = layer.weight_square * Scaled::of(input_square) + layer.bias_square;
  return layer.homogeneous() ? end_of_line(layer, start) : end_of_curve(layer, start);
}

FixedPoint fixed_point_at(const End& end) { return {end.q.value(), end.stability}; }

/// 0 and infinity are limits: phi is its tangents, or its asymptotes.
Scaled limit_of(Scaled q) {
  if (q.is_zero()) return Scaled::of(1, -10000);
  return std::isinf(q.mantissa) ? Scaled::of(1, 10000) : q;
}

double ln(Scaled x) {
  const double value = x.value();
  return std::isnormal(value) ? std::log(value) : x.log10() * std::numbers::ln10;
}

double scale_of_slope(double slope) {
  if (!(slope < 1 + resolution)) return nan;
  if (slope > 1 - resolution) return infinity;
  return slope > 0 ? -1 / std::log(slope) : 0;
}

double scale_of_factor(Scaled factor) {
  return std::abs(factor.value() - 1) < resolution ? infinity : 1 / std::abs(ln(factor));
}

/// The attracting fixed point of the correlation map on [0, 1]. The map is a power series with positive
/// coefficients (Daniely et al., NeurIPS 2016), hence convex: if 1 repels there is exactly one other.
double c_fixed_point(const Layer& layer, Scaled q) {
  const double slope_at_one = layer.c_slope(q, 1);
  if (std::isnan(slope_at_one)) return nan;
  if (slope_at_one < 1 + resolution) return 1;
  const Function drift = [&](double c) { return layer.c_map(q, c) - c; };
  if (drift(0) < resolution) return 0;
  double below_one = 0.5;
  while (drift(below_one) > 0) below_one = (1 + below_one) / 2;
  return root_between(drift, 0, below_one);
}

}  // namespace

std::string_view name(Stability stability) {
  switch (stability) {
    case Stability::attracting:
      return "attracting";
    case Stability::repelling:
      return "repelling";
    case Stability::marginal:
      return "marginal";
    case Stability::none:
      break;
  }
  return "none";
}

std::string_view name(Phase phase) {
  constexpr std::array names{"unknown", "ordered", "critical", "chaotic"};
  return names[std::size_t(phase)];
}

Phase phase_of(double chi1) {
  constexpr double no_depth_can_tell = 1e-6;
  if (std::isnan(chi1)) return Phase::unknown;
  if (std::abs(chi1 - 1) < no_depth_can_tell) return Phase::critical;
  return chi1 < 1 ? Phase::ordered : Phase::chaotic;
}

FixedPoint q_fixed_point(const nn::Activation& phi, double sigma_w, double sigma_b, double input_square) {
  return fixed_point_at(end_of(Layer(phi, sigma_w, sigma_b), input_square));
}

Asymptotics asymptotics(const nn::Activation& phi, double sigma_w, double sigma_b, double input_square) {
  const Layer layer(phi, sigma_w, sigma_b);
  const End end = end_of(layer, input_square);
  Asymptotics all{.fixed_point = fixed_point_at(end)};
  if (std::isnan(end.q.mantissa)) return all;
  const Scaled q = limit_of(end.q);
  const Scaled chi1 = layer.chi1(q);
  all.chi1 = chi1.value();
  all.chi_parallel = layer.q_slope(q).value();
  all.c_star = c_fixed_point(layer, q);
  const double c_slope = std::isnan(all.c_star) ? nan : layer.c_slope(q, all.c_star);
  all.depth_scale = {scale_of_slope(all.chi_parallel), scale_of_slope(c_slope), scale_of_factor(chi1)};
  return all;
}

}  // namespace gradflow::theory
