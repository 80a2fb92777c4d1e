#include "gradflow/experiment/row.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "gradflow/experiment/jacobian.hpp"
#include "gradflow/experiment/network.hpp"
#include "gradflow/nn/block.hpp"
#include "gradflow/nn/layer_weights.hpp"

namespace gradflow::experiment {
namespace {

std::string setting(const sweep::Sweep& sweep, std::string_view key) {
  return std::get<std::string>(*sweep.fixed(key));
}

/// What any block of the sweep has; where a point's block lacks it, the file has NaN.
BlockParts parts_in(const sweep::Sweep& sweep) {
  BlockParts all;
  const auto add_new = [](auto& to, const auto& from) {
    std::ranges::copy_if(from, std::back_inserter(to),
                         [&](auto part) { return std::ranges::find(to, part) == to.end(); });
  };
  for_each_combination_of_names(sweep, [&](const sweep::SweepPoint& point) {
    const BlockParts parts = nn::parts_of(network_of(point));
    add_new(all.signals, parts.signals);
    add_new(all.matrices, parts.matrices);
    all.normalises = all.normalises || parts.normalises;
  });
  return all;
}

/// The preset and the single statistics of a sweep.
/// @throws UserError for a statistic that no block of it has
stats::Selection selected(const sweep::Sweep& sweep) {
  const auto& also = std::get<std::vector<std::string>>(*sweep.fixed("statistics.also"));
  stats::Selection selection = stats::of_preset(setting(sweep, "statistics.preset"), also, parts_in(sweep));
  for (const std::string& name : also) {
    if (std::ranges::find(selection, name, &stats::Statistic::name) != selection.end()) continue;
    throw sweep.point(0).error("statistics.also",
                               fmt::format("no block of the sweep has \"{}\"; leave it out", name));
  }
  return selection;
}

stats::Columns initialisation_columns() {
  return {{.name = "effective_sigma_w",
           .long_name = "scale of the weights, whatever the scheme's name",
           .units = "1",
           .formula = "std(W_l) sqrt(fan_in)",
           .extra_dimension = ""},
          {.name = "effective_sigma_b",
           .long_name = "scale of the biases, whatever the scheme's name",
           .units = "1",
           .formula = "std(b_l)",
           .extra_dimension = ""}};
}

/// @param levels  of stacked recurrent layers, at most
stats::Columns tied_columns(int levels) {
  return {{.name = "tied_wgrad_log10_norm",
           .long_name = "Frobenius norm of the mean gradient of the weights that all steps share",
           .units = "1",
           .formula = "log10 |mean_s sum_l dE_s/dW_l|_F",
           .per_layer = false,
           .extra_dimension = levels > 1 ? "stack_level" : "",
           .extent = levels}};
}

/// Whether some point sums the gradients of its steps.
bool has_tied_weights(const sweep::Sweep& sweep, const stats::Selection& selection) {
  bool any = false;
  for_each_combination_of_names(sweep, [&](const sweep::SweepPoint& point) {
    any = any || nn::block_of(network_of(point)).steps_in_time;
  });
  return any && stats::needed(selection).gradients;
}

stats::Columns run_fact_columns() {
  return {
      {.name = "wall_seconds",
       .long_name =
           "time since the bundle before was finished, shared by the points of a bundle, on the first stage",
       .units = "s",
       .formula = "(t(bundle) - t(bundle before)) / (points of the bundle)",
       .per_layer = false,
       .extra_dimension = "",
       .run_fact = true}};
}

}  // namespace

pipeline::Observation::Layers layers_by_depth(const stats::LayerSelection& selection,
                                              const nn::Bundle& bundle) {
  pipeline::Observation::Layers layers;
  for (const nn::NetworkSpec& point : bundle) {
    std::vector<int>& of_depth = layers[point.depth()];
    if (of_depth.empty()) of_depth = selection.select(point.depth());
  }
  return layers;
}

Row::Row(const sweep::Sweep& sweep)
    : selection_(selected(sweep)),
      loss_scale_(int(std::get<std::int64_t>(*sweep.fixed("statistics.loss_scale")))),
      layers_(stats::LayerSelection::parse(setting(sweep, "statistics.layers"))) {
  stats::Columns columns = stats::columns_of(selection_, loss_scale_);
  const auto append = [&](stats::Columns more) {
    const int first = int(columns.size());
    columns.insert(columns.end(), more.begin(), more.end());
    return first;
  };
  if (has_tied_weights(sweep, selection_)) first_of_tied_ = append(tied_columns(most_levels(sweep)));
  directions_ = most_directions(sweep);
  if (directions_ > 0) first_of_jacobian_ = append(jacobian_columns(directions_));
  first_of_initialisation_ = append(initialisation_columns());
  first_of_theory_ = append(prediction_columns());
  first_of_run_facts_ = append(run_fact_columns());
  columns_ = std::make_shared<const stats::Columns>(std::move(columns));
}

std::vector<std::string> Row::columns_of(const nn::NetworkSpec& network) const {
  stats::Columns own = stats::columns_of(stats::of_parts(selection_, nn::parts_of(network)), loss_scale_);
  const auto append = [&](const stats::Columns& more) { own.insert(own.end(), more.begin(), more.end()); };
  if (first_of_tied_ && nn::block_of(network).steps_in_time) append(tied_columns(network.recurrence.stack));
  if (first_of_jacobian_ && network.jacobian) append(jacobian_columns(directions_));
  append({columns_->begin() + first_of_initialisation_, columns_->end()});
  std::vector<std::string> names;
  for (const stats::Column& column : own) names.push_back(column.name);
  return names;
}

void Row::fill_initialisation(stats::PointTable& table, const nn::NetworkSpec& network,
                              const std::vector<int>& layers) const {
  for (int row = table.first_row(); row < table.first_row() + table.rows(); ++row) {
    const int layer = layers[std::size_t(row)];
    const int fan_in = network.widths.fan_in(layer);
    table.at(first_of_initialisation_, row)[0] = nn::effective_sigma_w(network, layer);
    table.at(first_of_initialisation_ + 1, row)[0] = network.init.effective_sigma_b(fan_in);
  }
}

double Row::bytes_per_layer() const {
  double values = 0;
  for (const stats::Column& column : *columns_) values += column.per_layer ? column.extent : 0;
  return values * sizeof(double);
}

pipeline::Observation Row::observation(const nn::Bundle& bundle) const {
  pipeline::Observation observation;
  observation.layers = layers_by_depth(layers_, bundle);
  observation.selection = selection_;
  observation.loss_scale = loss_scale_;
  observation.columns = columns_;
  return observation;
}

void Row::complete(stats::PointTable& rows, const nn::NetworkSpec& network,
                   const Prediction& prediction) const {
  const std::vector<int> stored = layers(network.depth());
  fill_initialisation(rows, network, stored);
  fill(rows, first_of_theory_, stored, prediction);
}

stats::PointTable Row::table(const nn::NetworkSpec& network, pipeline::PointResult result,
                             const Prediction& prediction, double wall_seconds) const {
  stats::PointTable table = std::move(result.rows);
  for (std::size_t level = 0; level < result.tied_wgrad_squared.size(); ++level) {
    table.values(*first_of_tied_)[level] = result.tied_wgrad_squared[level].log10() / 2;
  }
  if (first_of_jacobian_) fill(table, *first_of_jacobian_, network, prediction, result.jacobian);
  complete(table, network, prediction);
  table.values(first_of_run_facts_)[0] = wall_seconds;
  return table;
}

}  // namespace gradflow::experiment
