#include "gradflow/theory/phase.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include <boost/math/tools/toms748_solve.hpp>

#include "gradflow/theory/moments.hpp"

namespace gradflow::theory {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// Differences of order 1 below this are rounding and the quadrature's error.
constexpr double resolution = 1e-12;

double squared(double x) { return x * x; }

int decided_sign(double x) { return (x > resolution) - (x < -resolution); }

using Function = std::function<double(double)>;

double root_between(const Function& f, double a, double b) {
  std::uintmax_t iterations = 100;
  const auto [left, right] =
      boost::math::tools::toms748_solve(f, a, b, boost::math::tools::eps_tolerance<double>(50), iterations);
  return (left + right) / 2;
}

struct Crossing {
  double q = 0;
  bool falling = false;  ///< f changes from + to -
};

/// Where f(q) changes sign over q = low, 2 low, 4 low, ... 2^60, and its sign near 0. Values within
/// `resolution` of 0 have no sign.
struct Signs {
  int near_zero = 0;
  std::vector<Crossing> crossings;
};

Signs signs_of(const Function& f, double low) {
  Signs signs;
  int sign = 0;
  double decided_at = 0;
  for (double q = low; q <= 0x1p60; q *= 2) {
    const int here = decided_sign(f(q));
    if (here == 0) continue;
    if (sign == 0) signs.near_zero = here;
    if (sign * here < 0) signs.crossings.push_back({root_between(f, decided_at, q), sign > 0});
    sign = here;
    decided_at = q;
  }
  return signs;
}

/// The attracting candidate of the lowest q, else the repelling one.
template <class Point>
Point governing(const std::vector<Point>& candidates, Point none) {
  for (Stability wanted : {Stability::attracting, Stability::repelling}) {
    for (const Point& point : candidates) {
      if (point.stability == wanted) return point;
    }
  }
  return none;
}

/// phi with its weights and biases, in double.
struct Layer {
  Moments moments;
  double weight_square;
  double bias_square;

  double q_map(double q) const { return weight_square * moments.square(Scaled::of(q)).value() + bias_square; }
  double q_slope(double q) const { return weight_square * moments.growth(Scaled::of(q)).value(); }
  double chi1(double q) const { return weight_square * moments.slope_square(Scaled::of(q)).value(); }
  double c_map(double q, double c) const {
    return (weight_square * moments.product(Scaled::of(q), c).value() + bias_square) / q_map(q);
  }
  double c_slope(double q, double c) const {
    return weight_square * moments.slope_product(Scaled::of(q), c).value() * q / q_map(q);
  }
  bool homogeneous() const { return moments.activation().positively_homogeneous(); }

  /// Which way q moves, in [-1, 1].
  Signs drift() const {
    const double at_zero = q_map(0);
    const auto relative = [this](double q) { return (q_map(q) - q) / (q_map(q) + q); };
    return signs_of(relative, at_zero > 0 ? std::min(0x1p-60, at_zero / 4) : 0x1p-60);
  }
  Stability stability_of_zero() const {
    return drift().near_zero < 0 ? Stability::attracting : Stability::repelling;
  }
};

Layer layer_of(const nn::Activation& phi, double sigma_w, double sigma_b) {
  return {Moments(phi), squared(sigma_w), squared(sigma_b)};
}

/// q' = chi1 q + sigma_b^2, a straight line.
FixedPoint homogeneous_fixed_point(const Layer& layer) {
  const double chi1 = layer.chi1(1);
  const bool no_bias = layer.bias_square == 0;
  if (std::abs(chi1 - 1) < resolution) return no_bias ? FixedPoint{1, Stability::marginal} : FixedPoint{};
  if (chi1 < 1) return {layer.bias_square / (1 - chi1), Stability::attracting};
  return no_bias ? FixedPoint{0, Stability::repelling} : FixedPoint{};
}

FixedPoint fixed_point_of(const Layer& layer) {
  if (layer.homogeneous()) return homogeneous_fixed_point(layer);
  const Signs drift = layer.drift();
  std::vector<FixedPoint> points;
  if (layer.q_map(0) == 0) {
    points.push_back({0, drift.near_zero < 0 ? Stability::attracting : Stability::repelling});
  }
  for (const Crossing& crossing : drift.crossings) {
    points.push_back({crossing.q, crossing.falling ? Stability::attracting : Stability::repelling});
  }
  return governing(points, FixedPoint{});
}

double scale_of_slope(double slope) {
  if (!(slope < 1 + resolution)) return nan;
  if (slope > 1 - resolution) return infinity;
  return slope > 0 ? -1 / std::log(slope) : 0;
}

double scale_of_factor(double factor) {
  return std::abs(factor - 1) < resolution ? infinity : 1 / std::abs(std::log(factor));
}

/// The attracting fixed point of the correlation map on [0, 1]. The map is a power series with positive
/// coefficients (Daniely et al., NeurIPS 2016), hence convex: if 1 repels there is exactly one other.
double c_fixed_point(const Layer& layer, double q) {
  if (layer.c_slope(q, 1) < 1 + resolution) return 1;
  const auto drift = [&](double c) { return layer.c_map(q, c) - c; };
  if (drift(0) < resolution) return 0;
  double below_one = 0.5;
  while (drift(below_one) > 0) below_one = (1 + below_one) / 2;
  return root_between(drift, 0, below_one);
}

/// q = 0 is a limit: phi is its two tangents there.
double limit_of(double q) { return q > 0 ? q : 0x1p-200; }

/// On the line chi1 = 1 at q* = q: the weights follow from q, and so do the biases.
double critical_bias_square(const Moments& moments, double q) {
  const Scaled at = Scaled::of(q);
  return q - (moments.square(at) / moments.slope_square(at)).value();
}

CriticalPoint critical_at(const Moments& moments, double bias_square, double q) {
  const double weight_square = 1 / moments.slope_square(Scaled::of(q)).value();
  const Layer layer{moments, weight_square, bias_square};
  const Stability stability = q == 0                 ? layer.stability_of_zero()
                              : layer.q_slope(q) < 1 ? Stability::attracting
                                                     : Stability::repelling;
  return {std::sqrt(weight_square), q, stability};
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

FixedPoint q_fixed_point(const nn::Activation& phi, double sigma_w, double sigma_b) {
  return fixed_point_of(layer_of(phi, sigma_w, sigma_b));
}

Asymptotics asymptotics(const nn::Activation& phi, double sigma_w, double sigma_b) {
  const Layer layer = layer_of(phi, sigma_w, sigma_b);
  const FixedPoint fixed_point = fixed_point_of(layer);
  if (fixed_point.stability == Stability::none) {
    const double chi1 = layer.homogeneous() ? layer.chi1(1) : nan;
    return {fixed_point, chi1, nan, {nan, nan, scale_of_factor(chi1)}};
  }
  const double q = limit_of(fixed_point.q);
  const double chi1 = layer.chi1(q);
  const double c_star = c_fixed_point(layer, q);
  return {
      fixed_point,
      chi1,
      c_star,
      {scale_of_slope(layer.q_slope(q)), scale_of_slope(layer.c_slope(q, c_star)), scale_of_factor(chi1)}};
}

CriticalPoint critical_sigma_w(const nn::Activation& phi, double sigma_b) {
  const Moments moments(phi);
  const double bias_square = squared(sigma_b);
  if (phi.positively_homogeneous()) {
    const double sigma_w = 1 / std::sqrt(moments.slope_square(Scaled::of(1)).value());
    return {sigma_w, bias_square == 0 ? 1 : nan, Stability::marginal};
  }
  const auto excess = [&](double q) {
    return (critical_bias_square(moments, q) - bias_square) / (q + bias_square);
  };
  std::vector<CriticalPoint> points;
  if (bias_square == 0 && phi.zero_at_zero()) points.push_back(critical_at(moments, bias_square, 0));
  const double low = bias_square > 0 ? std::min(0x1p-60, bias_square / 2) : 0x1p-60;
  for (const Crossing& crossing : signs_of(excess, low).crossings) {
    points.push_back(critical_at(moments, bias_square, crossing.q));
  }
  return governing(points, CriticalPoint{nan, nan, Stability::none});
}

}  // namespace gradflow::theory
