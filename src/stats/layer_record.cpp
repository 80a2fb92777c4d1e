#include "gradflow/stats/layer_record.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gradflow::stats {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

template <class Entries, class Key>
auto& entry_of(Entries& entries, Key key) {
  const auto found = std::ranges::find(entries, key, &Entries::value_type::first);
  return found == entries.end()
             ? entries.emplace_back(key, typename Entries::value_type::second_type{}).second
             : found->second;
}

template <class Entries, class Key>
const auto& entry_or_empty(const Entries& entries, Key key) {
  static const typename Entries::value_type::second_type empty{};
  const auto found = std::ranges::find(entries, key, &Entries::value_type::first);
  return found == entries.end() ? empty : found->second;
}

}  // namespace

double GradientNorms::wgrad_log10_norm() const { return batch > 0 ? wgrad_squared.log10() / 2 : nan; }

double GradientNorms::bgrad_log10_norm() const { return has_bias ? bgrad_squared.log10() / 2 : nan; }

double GradientNorms::weight_log10_norm() const { return batch > 0 ? weight_squared.log10() / 2 : nan; }

double GradientNorms::wgrad_to_weight_log10() const {
  if (batch == 0) return nan;
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

double GradientNorms::log10_signal_to_noise() const {
  const double noise_scale = log10_noise_scale();
  if (std::isnan(noise_scale)) return nan;
  const double excess = batch / std::pow(10, noise_scale) - 1;
  return excess > 0 ? std::log10(excess) : -infinity;
}

double SignalRecord::saturated_fraction() const { return double(saturated) / double(summary.elements()); }

double SignalRecord::lost_fraction() const { return double(lost) / double(summary.elements()); }

SignalRecord& LayerRecord::operator[](Role role) { return entry_of(signals_, role); }

const SignalRecord& LayerRecord::operator[](Role role) const { return entry_or_empty(signals_, role); }

GradientNorms& LayerRecord::operator[](WeightRole role) { return entry_of(gradients_, role); }

const GradientNorms& LayerRecord::operator[](WeightRole role) const {
  return entry_or_empty(gradients_, role);
}

void LayerRecord::seal() {
  for (auto& [role, signal] : signals_) signal.summary.seal();
}

void LayerRecord::seal_forward() {
  for (auto& [role, signal] : signals_) {
    if (!is_gradient(role)) signal.summary.seal();
  }
}

}  // namespace gradflow::stats
