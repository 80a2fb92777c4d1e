#include "gradflow/report/growth.hpp"

#include <cmath>

namespace gradflow::report {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

/// Mean and standard error of finite numbers.
struct Mean {
  int count = 0;
  double sum = 0;
  double value() const { return count > 0 ? sum / count : unknown; }
};

double standard_error(std::span<const double> values) {
  Mean mean;
  for (const double v : values) mean.sum += v, ++mean.count;
  if (mean.count < 2) return unknown;
  double squares = 0;
  for (const double v : values) squares += (v - mean.value()) * (v - mean.value());
  return std::sqrt(squares / (mean.count - 1) / mean.count);
}

}  // namespace

double slope_towards_input(std::span<const int> layers, std::span<const double> log10_sizes) {
  expect(layers.size() == log10_sizes.size(), "one size per layer");
  if (layers.empty()) return unknown;
  const double left_out = std::ceil(end_share * layers.back());
  const auto is_fitted = [&](std::size_t i) {
    return layers[i] > left_out && layers[i] <= layers.back() - left_out && std::isfinite(log10_sizes[i]);
  };

  Mean distance, size;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!is_fitted(i)) continue;
    distance.sum += layers.back() - layers[i], ++distance.count;
    size.sum += log10_sizes[i], ++size.count;
  }
  if (size.count < fewest_fitted_layers) return unknown;

  double covariance = 0, variance = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!is_fitted(i)) continue;
    const double x = layers.back() - layers[i] - distance.value();
    covariance += x * (log10_sizes[i] - size.value());
    variance += x * x;
  }
  return covariance / variance;
}

Growth growth_of(const SeedRows& log10_sizes, std::span<const double> theory) {
  std::vector<double> slopes;
  for (const std::vector<double>& sizes : log10_sizes.of_seed) {
    const double slope = slope_towards_input(log10_sizes.layers, sizes);
    if (std::isfinite(slope)) slopes.push_back(slope);
  }
  Growth growth;
  Mean mean;
  for (const double slope : slopes) mean.sum += slope, ++mean.count;
  growth.log10_per_layer = mean.value();
  growth.standard_error = standard_error(slopes);
  if (!theory.empty()) growth.theory = slope_towards_input(log10_sizes.layers, theory);
  return growth;
}

std::string gradient_column(const store::ResultFile& file) {
  const bool widths_differ = file.has("widths");
  return widths_differ && file.has("dgrad_log10_rms") ? "dgrad_log10_rms" : "dgrad_log10_norm_mean";
}

std::vector<double> predicted_gradient(const store::ResultFile& file, const Configuration& configuration) {
  constexpr auto prediction = "theory_dgrad_log10_rms";
  if (!file.has(prediction)) return {};
  if (file.has("widths") && !file.has("dgrad_log10_rms")) return {};
  return layer_values(file, prediction, configuration.done.front());
}

}  // namespace gradflow::report
