#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gradflow/theory/phase.hpp"
#include "layer.hpp"
#include "sign_changes.hpp"

namespace gradflow::theory {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// On the line chi1 = 1 at q* = q: the weights follow from q, and so do the biases.
double critical_bias_square(const Moments& moments, double q) {
  const Scaled at = Scaled::of(q);
  return q - (moments.square(at) / moments.slope_square(at)).value();
}

Stability stability_at(const Layer& layer, double q) {
  const auto drift = [&](double x) { return layer.drift(x); };
  const bool attracts = q == 0 ? lowest_sign(drift, -power_laws_from, power_laws_from) < 0
                               : layer.q_slope(Scaled::of(q)).value() < 1;
  return attracts ? Stability::attracting : Stability::repelling;
}

CriticalPoint critical_at(const Moments& moments, double bias_square, double q) {
  const Scaled weight_square = Scaled::of(1) / moments.slope_square(Scaled::of(q));
  const Layer layer(moments, weight_square, Scaled::of(bias_square));
  return {sqrt(weight_square).value(), q, stability_at(layer, q)};
}

/// Every q > 0 at which a layer with these biases can be critical.
std::vector<double> critical_variances(const Moments& moments, double bias_square) {
  const auto excess = [&](double x) {
    const double q = std::exp2(x);
    return (critical_bias_square(moments, q) - bias_square) / (q + bias_square);
  };
  const double low = std::min(-power_laws_from, bias_square > 0 ? std::log2(bias_square) - 1 : 0);
  const std::vector<Decided> signs = decided_signs(excess, low, power_laws_from);
  std::vector<double> variances;
  for (std::size_t i = 1; i < signs.size(); ++i) {
    if (signs[i - 1].sign == signs[i].sign) continue;
    variances.push_back(std::exp2(root_between(excess, signs[i - 1].x, signs[i].x)));
  }
  return variances;
}

/// The attracting point of the lowest q, else the repelling one, else none.
CriticalPoint governing(const std::vector<CriticalPoint>& points) {
  for (Stability wanted : {Stability::attracting, Stability::marginal, Stability::repelling}) {
    const auto found = std::ranges::find(points, wanted, &CriticalPoint::stability);
    if (found != points.end()) return *found;
  }
  return {};
}

}  // namespace

std::vector<CriticalPoint> critical_points(const nn::Activation& phi, double sigma_b) {
  const Moments moments(phi);
  if (phi.positively_homogeneous()) {
    const Scaled sigma_w = sqrt(Scaled::of(1) / moments.slope_square(Scaled::of(1)));
    return {{sigma_w.value(), sigma_b == 0 ? 1 : nan, Stability::marginal}};
  }
  const double bias_square = sigma_b * sigma_b;
  std::vector<CriticalPoint> points;
  if (bias_square == 0 && phi.zero_at_zero()) points.push_back(critical_at(moments, bias_square, 0));
  for (double q : critical_variances(moments, bias_square)) {
    points.push_back(critical_at(moments, bias_square, q));
  }
  return points;
}

CriticalPoint critical_sigma_w(const nn::Activation& phi, double sigma_b) {
  return governing(critical_points(phi, sigma_b));
}

std::vector<HalfStablePoint> half_stable_points(const nn::Activation& phi) {
  const Moments moments(phi);
  if (phi.positively_homogeneous()) return {};
  const auto slope_difference = [&](double x) {  // of chi_parallel and chi1, where chi1 = 1
    const Scaled q = power_of_two(x);
    return (moments.growth(q) / moments.slope_square(q)).value() - 1;
  };
  const std::vector<Decided> signs = decided_signs(slope_difference, -10, 10);
  std::vector<HalfStablePoint> points;
  for (std::size_t i = 1; i < signs.size(); ++i) {
    if (signs[i - 1].sign == signs[i].sign) continue;
    const double q = std::exp2(root_between(slope_difference, signs[i - 1].x, signs[i].x));
    const double bias_square = critical_bias_square(moments, q);
    if (bias_square < 0) continue;
    points.push_back(
        {sqrt(Scaled::of(1) / moments.slope_square(Scaled::of(q))).value(), std::sqrt(bias_square), q});
  }
  return points;
}

}  // namespace gradflow::theory
