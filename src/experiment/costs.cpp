#include "gradflow/experiment/costs.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/nn/weight_gradient.hpp"
#include "gradflow/stats/catalogue.hpp"

namespace gradflow::experiment {
namespace {

/// What it takes to hand a pass to more than one thread and to wait for them.
constexpr double fork_seconds = 5e-6;

double log_slope(std::span<const double> x, std::span<const double> y, std::size_t i) {
  return std::log(y[i + 1] / y[i]) / std::log(x[i + 1] / x[i]);
}

/// A table [cost_rows][cost_widths] between its points.
double in_table(const std::vector<double>& table, double rows, double width) {
  std::array<double, cost_rows.size()> of_rows;
  for (std::size_t i = 0; i < cost_rows.size(); ++i) {
    of_rows[i] =
        power_law(cost_widths, std::span(table).subspan(i * cost_widths.size(), cost_widths.size()), width);
  }
  const double most = cost_rows.back();
  return power_law(cost_rows, of_rows, std::min(rows, most)) * std::max(1.0, rows / most);
}

double mean_width(double fan_in, double fan_out) { return std::sqrt(fan_in * fan_out); }

}  // namespace

double power_law(std::span<const double> x, std::span<const double> y, double at) {
  std::size_t i = 0;
  while (i + 2 < x.size() && x[i + 1] < at) ++i;
  double slope = log_slope(x, y, i);
  if (at > x.back()) {
    return y.back() * std::pow(at / x.back(), std::clamp(slope, 1.0, 3.0));
  }
  if (at < x.front()) slope = std::clamp(slope, 0.0, 1.0);
  return y[i] * std::pow(at / x[i], slope);
}

const std::vector<double>& Costs::at(const std::string& name) const {
  const auto found = series_.find(name);
  expect(found != series_.end(), "a cost that was measured: " + name);
  return found->second;
}

std::string_view name_of(Precision precision) {
  return precision == Precision::float64 ? "float64" : "float32";
}

std::string_view name_of(nn::Distribution distribution) {
  constexpr std::array<std::string_view, 7> names{"normal",   "uniform", "truncated_normal", "orthogonal",
                                                  "identity", "sparse",  "looks_linear"};
  return names[std::size_t(distribution)];
}

std::string statistics_label(const sweep::Sweep& sweep) {
  std::string label = std::get<std::string>(*sweep.fixed("statistics.preset"));
  for (const std::string& name : std::get<std::vector<std::string>>(*sweep.fixed("statistics.also"))) {
    label += "+" + name;
  }
  return label;
}

stats::Selection labelled_statistics(std::string_view label, const BlockParts& parts) {
  std::vector<std::string> names(1);
  for (const char c : label) {
    if (c == '+') {
      names.emplace_back();
    } else {
      names.back() += c;
    }
  }
  return stats::of_preset(names.front(), {names.begin() + 1, names.end()}, parts);
}

bool has_spectra(std::string_view label) {
  return stats::takes_long_to_seal(stats::needed(labelled_statistics(label)));
}

std::vector<std::string> series_of(const CostKinds& kinds) {
  const std::string_view p = name_of(kinds.precision);
  std::vector<std::string> names{fmt::format("{} product forward", p),
                                 fmt::format("{} product backward", p),
                                 fmt::format("{} gram", p),
                                 fmt::format("{} formed", p),
                                 fmt::format("{} statistics {} forward", p, kinds.statistics),
                                 fmt::format("{} statistics {} backward", p, kinds.statistics)};
  if (has_spectra(kinds.statistics)) names.push_back(fmt::format("{} spectrum", p));
  for (const std::string& name : kinds.activations) names.push_back(fmt::format("{} activation {}", p, name));
  for (const nn::Distribution d : kinds.distributions)
    names.push_back(fmt::format("{} weights {}", p, name_of(d)));
  for (const std::string& kind : kinds.steps) {
    for (const char* pass : {"forward", "backward", "blind forward", "blind backward"}) {
      names.push_back(fmt::format("{} step {} {} {}", p, kind, kinds.statistics, pass));
    }
  }
  return names;
}

std::string step_kind(const nn::NetworkSpec& network, int layer) {
  const bool is_fed = network.level_of(layer) > 1 || network.recurrence.input != nn::StepInput::none;
  return network.block + (is_fed ? " fed" : "");
}

CostModel::CostModel(const Costs& costs, Precision precision, std::string_view statistics, int threads)
    : costs_(costs),
      prefix_(fmt::format("{} ", name_of(precision))),
      label_(statistics),
      statistics_(fmt::format("{}statistics {} ", prefix_, statistics)),
      threads_(threads),
      takes_gradients_(stats::needed(labelled_statistics(statistics)).gradients),
      takes_spectra_(has_spectra(statistics)) {}

/// Seconds of one thread, shared by as many as there are tiles for.
double CostModel::shared(double seconds, int rows) const {
  if (threads_ == 1) return seconds;
  const int tiles = std::max(1, rows / tile_rows);
  const int rounds = (tiles + threads_ - 1) / threads_;
  return seconds * rounds / tiles + fork_seconds;
}

PassSeconds CostModel::layer(const LayerWork& work) const {
  const double width = mean_width(work.fan_in, work.fan_out);
  PassSeconds pass{.forward = in_table(costs_.at(prefix_ + "product forward"), work.rows, width),
                   .backward = in_table(costs_.at(prefix_ + "product backward"), work.rows, width)};
  if (work.is_first) pass.backward *= 0.5;  // half of it is the product for the gradient of its input
  if (work.observed) {
    pass.forward += in_table(costs_.at(statistics_ + "forward"), work.rows, width) + spectrum(work);
    pass.backward += in_table(costs_.at(statistics_ + "backward"), work.rows, width) + weight_gradient(work);
  }
  return {shared(pass.forward, work.rows), shared(pass.backward, work.rows)};
}

/// What whole batches take longer than the stacked tiles of the table.
double CostModel::spectrum(const LayerWork& work) const {
  if (!takes_spectra_) return 0;
  const double side = std::min(work.batch, work.fan_out);
  const double of_batches = work.rows / double(std::max(work.batch, tile_rows)) * side * side * side;
  const double of_tiles = double(work.rows) * tile_rows * tile_rows;
  return costs_.at(prefix_ + "spectrum")[0] * std::max(0.0, of_batches - of_tiles);
}

double CostModel::weight_pass(const LayerWork& work) const {
  if (!work.observed) return 0;
  const double fork = threads_ == 1 ? 0 : fork_seconds;  // counted with the backward pass
  return shared(weight_gradient(work), work.rows) - fork;
}

double CostModel::weight_gradient(const LayerWork& work) const {
  if (!takes_gradients_) return 0;
  if (nn::uses_gram_matrices(work.fan_in, work.fan_out, work.batch)) {
    return costs_.at(prefix_ + "gram")[0] * work.rows * work.batch * (double(work.fan_in) + work.fan_out);
  }
  return costs_.at(prefix_ + "formed")[0] * work.rows * work.fan_in * work.fan_out;
}

PassSeconds CostModel::step(const std::string& kind, const LayerWork& work, int matrices, int gates) const {
  const std::string name =
      fmt::format("{}step {} {} {}", prefix_, kind, label_, work.observed ? "" : "blind ");
  PassSeconds pass{.forward = in_table(costs_.at(name + "forward"), work.rows, work.fan_out),
                   .backward = in_table(costs_.at(name + "backward"), work.rows, work.fan_out)};
  if (work.observed) {
    LayerWork whole = work;
    whole.fan_out = gates * work.fan_out;
    LayerWork of_tiles = whole;
    of_tiles.batch = tile_rows;
    pass.backward += matrices * (weight_gradient(whole) - weight_gradient(of_tiles));
  }
  return {shared(pass.forward, work.rows), shared(std::max(pass.backward, 0.0), work.rows)};
}

PassSeconds CostModel::activation_per_element(std::string_view activation, int rows) const {
  const std::vector<double>& added = costs_.at(fmt::format("{}activation {}", prefix_, activation));
  const double alone = threads_ == 1 ? 1 : shared(1, rows) - fork_seconds;
  return {added[0] * alone, added[1] * alone};
}

double CostModel::weights(nn::Distribution distribution, int fan_in, int fan_out) const {
  const std::vector<double>& seconds = costs_.at(fmt::format("{}weights {}", prefix_, name_of(distribution)));
  if (distribution == nn::Distribution::orthogonal) {  // a whole Haar matrix on one thread, then cut
    return power_law(cost_widths, seconds, std::max(fan_in, fan_out));
  }
  return power_law(cost_widths, seconds, mean_width(fan_in, fan_out)) / threads_;
}

}  // namespace gradflow::experiment
