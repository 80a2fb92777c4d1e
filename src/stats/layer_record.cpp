#include "gradflow/stats/layer_record.hpp"

#include <cmath>
#include <limits>

namespace gradflow::stats {

namespace {
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
}  // namespace

double GradientNorms::wgrad_log10_norm() const { return wgrad_squared.log10() / 2; }

double GradientNorms::bgrad_log10_norm() const { return has_bias ? bgrad_squared.log10() / 2 : nan; }

double GradientNorms::weight_log10_norm() const { return weight_squared.log10() / 2; }

double GradientNorms::wgrad_to_weight_log10() const {
  return wgrad_squared.is_zero() ? -infinity : wgrad_log10_norm() - weight_log10_norm();
}

double GradientNorms::log10_noise_scale() const {
  if (batch <= 1 || sample_squared_sum.is_zero()) return nan;
  if (wgrad_squared.is_zero()) return infinity;
  const Scaled of_the_mean = Scaled::of(batch) * wgrad_squared;
  const Scaled spread = sample_squared_sum - of_the_mean;
  if (relative_error > 0 && spread < Scaled::of(100 * relative_error) * of_the_mean) return nan;
  if (spread.mantissa <= 0) return -infinity;  // never negative in exact arithmetic
  return (spread / Scaled::of(batch - 1) / wgrad_squared).log10();
}

void LayerRecord::seal_forward() {
  preact.seal();
  act.seal();
}

double LayerRecord::saturated_fraction() const { return double(saturated) / double(act.elements()); }

double LayerRecord::lost_fraction() const { return double(lost) / double(dgrad.elements()); }

}  // namespace gradflow::stats
