#include "gradflow/theory/finite_width.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/trigamma.hpp>

#include "gradflow/core/errors.hpp"

namespace gradflow::theory {
namespace {

using boost::math::digamma;
using boost::math::trigamma;

double squared(double x) { return x * x; }

/// E and Var of ln(2v) + ln(chi^2_M / 2) over M, weighted.
class Mixture {
 public:
  explicit Mixture(double offset) : offset_(offset) {}

  void add(int degrees, double weight) {
    const double mean = digamma(degrees / 2.0) - offset_;
    weight_ += weight;
    first_ += weight * mean;
    second_ += weight * (mean * mean + trigamma(degrees / 2.0));
  }

  double mean() const { return offset_ + first_ / weight_; }
  double variance() const { return second_ / weight_ - squared(first_ / weight_); }

 private:
  double offset_;  // near the mean, so that the variance does not cancel
  double weight_ = 0;
  double first_ = 0;
  double second_ = 0;
};

/// The density at u of D = ln E - ln X, where E ~ Exp(1) and X = chi^2_M + a^2 chi^2_{n - M}.
///
/// P(D > u) = E exp(-X e^u) is the Laplace transform of X at t = e^u: that of one unit to the power of n.
double log_ratio_density(double u, int n, double a) {
  const double t = std::exp(u);
  const double open = 1 / (1 + 2 * t);
  const double leaking = 1 / (1 + 2 * a * a * t);
  const double unit = (std::sqrt(open) + std::sqrt(leaking)) / 2;
  const double descent = (open * std::sqrt(open) + a * a * leaking * std::sqrt(leaking)) / 2;
  return n * t * descent * std::exp((n - 1) * std::log(unit));
}

double zero_drift_gain(const Increment& at_unit_gain) { return std::exp(-at_unit_gain.mean / 2); }

}  // namespace

Increment linear_increment(int units, double weight_variance) {
  expect(units >= 1 && weight_variance > 0, "a layer with units and weights");
  return {std::log(2 * weight_variance) + digamma(units / 2.0), trigamma(units / 2.0)};
}

Increment relu_increment(int units, double weight_variance) {
  expect(units >= 1 && weight_variance > 0, "a layer with units and weights");
  const int mode = (units + 1) / 2;
  Mixture mixture(digamma(mode / 2.0));
  const double negligible = 1e-25;  // of the mode's probability
  double weight = 1;
  for (int m = mode; m <= units && weight > negligible; ++m) {
    mixture.add(m, weight);
    weight *= double(units - m) / (m + 1);
  }
  weight = 1;
  for (int m = mode; m > 1 && weight > negligible; --m) {
    weight *= double(m) / (units - m + 1);
    mixture.add(m - 1, weight);
  }
  return {std::log(2 * weight_variance) + mixture.mean(), mixture.variance()};
}

Increment leaky_relu_increment(int units, double weight_variance, double slope) {
  expect(units >= 1 && weight_variance > 0, "a layer with units and weights");
  expect(slope != 0, "a slope other than 0; relu_increment is the law without one");
  const double center = -std::log(units * (1 + slope * slope) / 2);  // -ln E X
  const double step = 1.0 / 8;  // the density is analytic within pi/2 of the real axis: error exp(-8 pi^2)
  const double end = 90 + 2 * std::max(0.0, -std::log(std::abs(slope)));
  double first = 0;
  double second = 0;
  for (double x = -45; center + x < end; x += step) {
    const double weight = step * log_ratio_density(center + x, units, slope);
    first += weight * x;
    second += weight * x * x;
  }
  // ln E has mean -gamma and variance pi^2 / 6.
  const double mean = -std::numbers::egamma - (center + first);
  return {std::log(weight_variance) + mean, second - first * first - squared(std::numbers::pi) / 6};
}

Increment homogeneous_increment(int units, double weight_variance, double slope_above, double slope_below) {
  const double steeper = std::max(std::abs(slope_above), std::abs(slope_below));
  const double flatter = std::min(std::abs(slope_above), std::abs(slope_below));
  if (steeper == 0) return {};
  const double variance = weight_variance * squared(steeper);
  if (flatter == steeper) return linear_increment(units, variance);
  return flatter == 0 ? relu_increment(units, variance)
                      : leaky_relu_increment(units, variance, flatter / steeper);
}

Increment orthogonal_linear_increment(double sigma_w) { return {2 * std::log(sigma_w), 0}; }

double unbiased_linear_gain(int width) { return zero_drift_gain(linear_increment(width, 1.0 / width)); }

double unbiased_relu_gain(int width) { return zero_drift_gain(relu_increment(width, 1.0 / width)); }

double unbiased_leaky_relu_gain(int width, double slope) {
  return zero_drift_gain(leaky_relu_increment(width, 1.0 / width, slope));
}

double kappa(double slope) {
  const double a2 = slope * slope;
  return 6 * (1 + a2 * a2) / squared(1 + a2) - 1;
}

double squared_norm_second_moment(double slope, std::span<const int> widths) {
  double moment = 1;
  for (int n : widths) moment *= 1 + kappa(slope) / n;
  return moment;
}

double orthogonal_squared_norm_second_moment(double slope, std::span<const int> widths) {
  double moment = 1;
  for (int n : widths) moment *= (n + kappa(slope)) / (n + 2);
  return moment;
}

}  // namespace gradflow::theory
