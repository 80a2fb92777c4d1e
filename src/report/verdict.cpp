#include "gradflow/report/verdict.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "text.hpp"

namespace gradflow::report {
namespace {

constexpr const char* precision = "fp32";

/// Reads single numbers of one point, NaN where the file has none.
double value_of(const store::ResultFile& file, const std::string& column, std::uint64_t point) {
  return file.has(column) ? file.read(column, point).front() : Verdict::unknown;
}

void learn_theory(const store::ResultFile& file, std::uint64_t point, Verdict& verdict) {
  verdict.chi1 = value_of(file, "theory_chi1", point);
  verdict.critical_sigma_w = value_of(file, "theory_critical_sigma_w", point);
  const double stability = value_of(file, "theory_critical_stability", point);
  if (stability >= 0 && stability <= double(theory::Stability::marginal))
    verdict.critical_stability = theory::Stability(int(stability));
  verdict.sigma_w = value_of(file, "effective_sigma_w", point);
}

bool has_exact_zero(const std::vector<double>& log10_sizes) {
  return std::ranges::any_of(log10_sizes, [](double v) { return std::isinf(v) && v < 0; });
}

Fate fate_of(const Verdict& verdict) {
  if (2 * verdict.dead_seeds > verdict.seeds) return Fate::dead;
  if (std::isnan(verdict.growth.log10_per_layer)) return Fate::shallow;
  const double total = verdict.log10_total();
  if (std::abs(total) < std::log10(steady_factor)) return Fate::steady;
  if (std::abs(total) < trainable_depth_scales * std::log10(std::exp(1.0)) / 2) return Fate::trainable;
  return total < 0 ? Fate::vanishes : Fate::explodes;
}

std::vector<double> mean_of(const store::ResultFile& file, const Configuration& configuration,
                            const std::string& column) {
  return profile_of(read_rows(file, configuration, column)).mean;
}

std::string scheme_of(const store::ResultFile& file, const Configuration& configuration) {
  const auto swept = std::ranges::find(configuration.values, "scheme", &KeyValue::key);
  if (swept != configuration.values.end()) return swept->text;
  return file.has("scheme") ? printable(file.texts("scheme").front()) : "";
}

/// Units of every layer, if they all have the same number.
std::optional<double> width_of(const store::ResultFile& file, const Configuration& configuration) {
  const auto swept = std::ranges::find(configuration.values, "width", &KeyValue::key);
  if (swept != configuration.values.end()) return swept->number;
  if (!file.has("width")) return {};
  return file.numbers("width").front();
}

/// log10 of the root mean square of the gradient's elements, over seeds; empty if it cannot be known.
std::vector<double> log10_rms(const store::ResultFile& file, const Configuration& configuration) {
  if (file.has("dgrad_log10_rms")) return mean_of(file, configuration, "dgrad_log10_rms");
  const std::optional<double> width = width_of(file, configuration);
  if (!width) return {};
  std::vector<double> sizes = mean_of(file, configuration, "dgrad_log10_norm_mean");
  for (double& size : sizes) size -= std::log10(*width) / 2;
  return sizes;
}

/// Share of the nonzero gradient elements that float32 would round to zero, by layer, over seeds.
std::vector<double> underflow_share(const store::ResultFile& file, const Configuration& configuration) {
  const std::vector<std::string> formats = file.texts("format");
  const auto format = std::size_t(std::ranges::find(formats, precision) - formats.begin());
  if (format == formats.size()) return {};

  std::vector<double> lost, nonzero;
  for (const std::uint64_t point : configuration.done) {
    const std::vector<double> share = file.read("dgrad_underflow_fraction", point);
    const std::vector<double> zero = layer_values(file, "dgrad_zero_fraction", point);
    if (share.size() != zero.size() * formats.size()) {
      throw UserError(file.path().string() +
                      " is damaged: dgrad_underflow_fraction is not of layer and format");
    }
    lost.resize(zero.size());
    nonzero.resize(zero.size());
    for (std::size_t layer = 0; layer < zero.size(); ++layer) {
      lost[layer] += share[layer * formats.size() + format];
      nonzero[layer] += 1 - zero[layer];
    }
  }
  for (std::size_t layer = 0; layer < lost.size(); ++layer) lost[layer] /= nonzero[layer];
  return lost;
}

/// The last layer, the first on the gradient's way, at which `is_outside` holds of the value.
template <class Outside>
std::optional<int> first_on_the_way(const std::vector<int>& layers, const std::vector<double>& values,
                                    Outside is_outside) {
  for (std::size_t i = values.size(); i-- > 0;) {
    if (is_outside(values[i])) return layers[i];
  }
  return {};
}

std::optional<int> first_below_fp32(const store::ResultFile& file, const Configuration& configuration) {
  const std::vector<int> layers = file.layers_of(configuration.done.front());
  if (file.has("dgrad_underflow_fraction") && file.has("dgrad_zero_fraction")) {
    return first_on_the_way(layers, underflow_share(file, configuration),
                            [](double share) { return share > outside_share; });
  }
  const double half_smallest_subnormal = -150 * std::log10(2.0);
  return first_on_the_way(layers, log10_rms(file, configuration),
                          [=](double size) { return size <= half_smallest_subnormal; });
}

std::optional<int> first_above_fp32(const store::ResultFile& file, const Configuration& configuration) {
  const double largest = std::log10(double(std::numeric_limits<float>::max()));
  return first_on_the_way(file.layers_of(configuration.done.front()), log10_rms(file, configuration),
                          [=](double size) { return size > largest; });
}

}  // namespace

std::string_view name(Fate fate) {
  constexpr std::array<std::string_view, 7> names{"unmeasured", "shallow",   "dead",  "vanishes",
                                                  "explodes",   "trainable", "steady"};
  return names[std::size_t(fate)];
}

double Verdict::depth_scale() const {
  return std::log10(std::exp(1.0)) / (2 * std::abs(growth.log10_per_layer));
}

double Verdict::log10_total() const { return growth.log10_per_layer * (depth - 1); }

Verdict verdict_of(const store::ResultFile& file, const Configuration& configuration) {
  Verdict verdict;
  if (configuration.done.empty()) return verdict;
  const SeedRows sizes = read_rows(file, configuration, gradient_column(file));
  verdict.depth = sizes.layers.back();
  verdict.seeds = int(sizes.of_seed.size());
  verdict.dead_seeds = int(std::ranges::count_if(sizes.of_seed, has_exact_zero));
  verdict.growth = growth_of(sizes, predicted_gradient(file, configuration));
  learn_theory(file, configuration.done.front(), verdict);
  verdict.fate = fate_of(verdict);
  verdict.scheme = scheme_of(file, configuration);
  if (verdict.fate == Fate::vanishes) verdict.outside_fp32_from = first_below_fp32(file, configuration);
  if (verdict.fate == Fate::explodes) verdict.outside_fp32_from = first_above_fp32(file, configuration);
  return verdict;
}

std::vector<Finding> findings_of(const store::ResultFile& file) {
  std::vector<Finding> findings;
  for (Configuration& configuration : configurations(file)) {
    Verdict verdict = verdict_of(file, configuration);
    findings.push_back({std::move(configuration), std::move(verdict)});
  }
  return findings;
}

}  // namespace gradflow::report
