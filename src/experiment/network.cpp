#include "gradflow/experiment/network.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "given.hpp"
#include "gradflow/core/catalogue.hpp"
#include "gradflow/experiment/input_files.hpp"
#include "gradflow/nn/block.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/layer_weights.hpp"
#include "initialisation.hpp"
#include "jacobian_request.hpp"
#include "recurrence.hpp"

namespace gradflow::experiment {
namespace {

nn::Widths widths_in(const nn::StoredWeights& stored) {
  std::vector<int> widths{stored.fan_in(1, WeightRole::first)};
  for (int layer = 1; layer <= stored.layers(); ++layer) {
    widths.push_back(stored.fan_out(layer, WeightRole::first));
  }
  return nn::Widths::listed(std::move(widths));
}

/// Of stored weights, as far as the sweep leaves it to the file: depth and width, or the width of steps in
/// time. Nothing if the sweep says both.
std::optional<nn::Widths> widths_left_to(const nn::StoredWeights& stored, const sweep::SweepPoint& point) {
  if (point.has("network.width")) return std::nullopt;
  const bool has_depth = point.has("network.depth");
  if (!is_recurrent(point.name("network.block").name)) {
    return has_depth ? std::nullopt : std::optional(widths_in(stored));
  }
  if (!has_depth) return std::nullopt;
  return nn::Widths::uniform(int(point.integer("network.depth")), stored.fan_in(1, WeightRole::first));
}

/// Layers of width `width` on top of the data's features.
nn::Widths widths_on(int input, int depth, int width) {
  if (input == width) return nn::Widths::uniform(depth, width);
  std::vector<int> widths(std::size_t(depth) + 1, width);
  widths.front() = input;
  return nn::Widths::listed(std::move(widths));
}

void require_fitting(const sweep::SweepPoint& point, const nn::NetworkSpec& network) {
  const int input = features_of(network);
  if (network.data_set && input != network.data_set->width()) {
    throw point.error(point.has("network.widths") ? "network.widths" : "init.scheme",
                      fmt::format("the input has {} units, but a sample of data.source has {} features",
                                  input, network.data_set->width()));
  }
  if (network.init.stored) {
    const std::string unfit = nn::complaint_of_weights(network);
    if (!unfit.empty()) throw point.error("init.scheme", unfit);
  }
  const std::string complaint = nn::complaint_of_data(network);
  if (!complaint.empty()) throw point.error("data.source", complaint);
}

/// Of layers: the depth of a recurrent network counts its steps.
nn::Widths widths_of(const sweep::SweepPoint& point) {
  if (point.has("network.widths")) {
    for (const char* other : {"network.depth", "network.width"}) {
      if (point.has(other))
        throw point.error(other, "given beside network.widths; write either depth and width, or widths");
    }
    const std::vector<std::int64_t>& list = point.integers("network.widths");
    if (list.size() < 2) {
      throw point.error("network.widths",
                        "has " + std::to_string(list.size()) +
                            " entries; expected the input's width and one per layer, at least 2");
    }
    return nn::Widths::listed(std::vector<int>(list.begin(), list.end()));
  }
  const auto stored = stored_weights_of(point);
  if (stored) {
    if (const std::optional<nn::Widths> widths = widths_left_to(*stored, point)) return *widths;
  }
  for (const char* key : {"network.depth", "network.width"}) {
    if (!point.has(key)) throw point.error(key, "is missing; expected an integer, or network.widths instead");
  }
  const int width = int(point.integer("network.width"));
  const int layers = int(point.integer("network.depth")) * stack_of(point);
  const auto data_set = takes_data_step_by_step(point) ? nullptr : data_set_of(point);
  return widths_on(data_set ? data_set->width() : width, layers, width);
}

nn::Activation activation_of(const sweep::SweepPoint& point) {
  const sweep::NamedValue& value = point.name("network.activation");
  if (value.parameters.empty()) return nn::Activation::named(value.name);
  return nn::Activation::named(value.name, value.real(value.parameters.begin()->first, 0));
}

nn::NormalizationPosition position_of(const sweep::SweepPoint& point, const std::string& text) {
  using enum nn::NormalizationPosition;
  constexpr std::array<std::pair<std::string_view, nn::NormalizationPosition>, 4> positions{
      {{"before", before}, {"after", after}, {"pre", pre}, {"post", post}}};
  const bool in_branch = point.name("network.block").name.ends_with("residual");
  for (const auto& [name, position] : positions) {
    const bool fits = in_branch || position == before || position == after;
    if (text == name && fits) return position;
  }
  throw point.error("network.normalization",
                    "position is \"" + text + "\"; expected before or after" +
                        (in_branch ? ", pre or post" : " (pre and post are for residual blocks)"));
}

nn::Normalization normalization_of(const sweep::SweepPoint& point) {
  const sweep::NamedValue& value = point.name("network.normalization");
  nn::Normalization normalization{.kind = nn::normalization_called(value.name).kind};
  if (normalization.kind == nn::NormalizationKind::none) return normalization;
  const std::string& block = point.name("network.block").name;
  if (block == "highway" || is_recurrent(block)) {
    throw point.error("network.normalization", "is given, but a " + block + " block does not normalise");
  }
  normalization.position = position_of(point, value.text("position", "before"));
  normalization.epsilon = value.real("epsilon", normalization.epsilon);
  normalization.scale = value.real("scale", normalization.scale);
  normalization.shift = value.real("shift", normalization.shift);
  if (normalization.epsilon < 0) {
    throw point.error("network.normalization", "epsilon is negative; expected 0 or more");
  }
  if (normalization.kind == nn::NormalizationKind::batch && point.integer("data.batch") < 2) {
    throw point.error("data.batch",
                      "is 1, but batch normalization takes the mean and variance of a batch; "
                      "expected 2 or more");
  }
  return normalization;
}

/// A number, or the name of a function of the depth.
double depth_scale_of(const sweep::SweepPoint& point, std::string_view key, std::string_view name,
                      double power) {
  const sweep::Value& value = point.at(key);
  if (const double* number = std::get_if<double>(&value)) return *number;
  if (std::get<std::string>(value) == name) return std::pow(double(point.integer("network.depth")), power);
  throw point.error(
      key, "is \"" + std::get<std::string>(value) + "\"; expected a number or \"" + std::string(name) + "\"");
}

nn::ResidualScales residual_of(const sweep::SweepPoint& point) {
  const std::string& block = point.name("network.block").name;
  for (const char* key : {"network.branch_scale", "network.skip_scale", "network.branch_layers"}) {
    if (given(point, key) && !block.ends_with("residual")) {
      throw point.error(key, "is given, but a " + block + " block has no residual branch");
    }
  }
  if (!block.ends_with("residual")) return {};
  if (block == "residual" && given(point, "network.branch_layers") &&
      point.integer("network.branch_layers") != 2) {
    throw point.error("network.branch_layers",
                      "is 1, but a residual block has two matrices; write "
                      "preact_residual or postact_residual for one");
  }
  return {.branch = depth_scale_of(point, "network.branch_scale", "1/sqrt(depth)", -0.5),
          .skip = depth_scale_of(point, "network.skip_scale", "deepnorm", 0.25),
          .branch_layers = int(point.integer("network.branch_layers"))};
}

double transform_bias_of(const sweep::SweepPoint& point) {
  const std::string& block = point.name("network.block").name;
  if (given(point, "network.transform_bias") && block != "highway") {
    throw point.error("network.transform_bias", "is given, but a " + block + " block has no transform gate");
  }
  return point.real("network.transform_bias");
}

/// What a block with a skip cannot have.
void require_skippable(const sweep::SweepPoint& point, const nn::NetworkSpec& network) {
  if (network.block == "dense") return;
  if (point.has("network.widths")) {
    throw point.error("network.widths", "is given, but a " + network.block +
                                            " block needs equal widths; write depth and width");
  }
  if (network.widths[0] != network.widths[1]) {
    throw point.error("network.width",
                      fmt::format("is {}, but the data has {} features, and a {} block "
                                  "needs equal widths; write {}",
                                  network.widths[1], network.widths[0], network.block, network.widths[0]));
  }
}

/// Index distance of neighbouring values of each axis; the last axis is fastest.
std::vector<std::uint64_t> strides_of(const sweep::Sweep& sweep) {
  std::vector<std::uint64_t> strides(sweep.axes().size(), 1);
  for (std::size_t i = strides.size(); i-- > 1;) strides[i - 1] = strides[i] * sweep.axes()[i].size();
  return strides;
}

bool has_one_of(const sweep::Axis& axis, std::span<const std::string_view> keys) {
  return std::ranges::any_of(axis.columns, [&](const sweep::Column& column) {
    return std::ranges::find(keys, column.key) != keys.end();
  });
}

bool names_something(const sweep::Axis& axis) {
  constexpr std::array<std::string_view, 12> structural{
      "network.block",   "network.widths", "network.activation",    "network.normalization",
      "network.input",   "network.stack",  "network.branch_layers", "init.scheme",
      "backward.source", "data.source",    "network.forget_gate",   "network.input_width"};
  return has_one_of(axis, structural);
}

/// Which Jacobian is asked for.
bool changes_jacobian(const sweep::Axis& axis) {
  constexpr std::array<std::string_view, 3> keys{"jacobian.directions", "jacobian.from", "jacobian.to"};
  return has_one_of(axis, keys);
}

/// What decides, beside names, whether a scheme can be used.
bool limits_a_scheme(const sweep::Axis& axis) {
  constexpr std::array<std::string_view, 3> numbers{"network.width", "network.branch_layers", "init.sigma_b"};
  return has_one_of(axis, numbers);
}

/// Calls visit with one point for every combination of values of the chosen axes, the first value on the
/// others.
void for_each_combination(const sweep::Sweep& sweep, const std::function<bool(const sweep::Axis&)>& chosen,
                          const std::function<void(const sweep::SweepPoint&)>& visit) {
  const std::vector<std::uint64_t> strides = strides_of(sweep);
  const std::function<void(std::size_t, std::uint64_t)> walk = [&](std::size_t axis, std::uint64_t index) {
    if (axis == strides.size()) {
      visit(sweep.point(index));
      return;
    }
    const std::uint64_t values = chosen(sweep.axes()[axis]) ? sweep.axes()[axis].size() : 1;
    for (std::uint64_t value = 0; value < values; ++value) walk(axis + 1, index + value * strides[axis]);
  };
  walk(0, 0);
}

bool changes_depth(const sweep::Axis& axis) {
  return std::ranges::any_of(axis.columns, [](const sweep::Column& column) {
    return column.key == "network.depth" || column.key == "network.widths" || column.key == "network.stack";
  });
}

/// Values that decide whether a network and the files or the source it is fed from fit each other.
bool sizes_something(const sweep::Axis& axis) {
  return std::ranges::any_of(axis.columns, [](const sweep::Column& column) {
    return column.key == "network.depth" || column.key == "network.width" || column.key == "data.batch";
  });
}

/// Whether some point has a Jacobian, weights from a file, or another source than independent numbers.
bool is_particular(const sweep::Sweep& sweep) {
  bool particular = false;
  for_each_combination(sweep, names_something, [&](const sweep::SweepPoint& point) {
    particular = particular || point.has("jacobian.directions") || point.has("jacobian.from") ||
                 point.has("jacobian.to") || point.name("data.source").name != "gaussian" ||
                 takes_data_step_by_step(point) || point.name("init.scheme").name == "file";
  });
  return particular;
}

}  // namespace

nn::NetworkSpec network_of(const sweep::SweepPoint& point) {
  nn::NetworkSpec network;
  network.block = point.name("network.block").name;
  network.widths = widths_of(point);
  require_skippable(point, network);
  network.activation = activation_of(point);
  network.normalization = normalization_of(point);
  network.residual = residual_of(point);
  network.transform_bias = transform_bias_of(point);
  network.recurrence = recurrence_of(point);
  network.init = initialisation_of(point, network);
  network.data = point.name("data.source").name;
  network.data_set = data_set_of(point);
  network.input_correlation = point.name("data.source").real("c_0", network.input_correlation);
  network.grid = {.range = point.name("data.source").real("range", network.grid.range),
                  .offset = point.name("data.source").real("offset", network.grid.offset)};
  network.batch = int(point.integer("data.batch"));
  network.backward.loss = point.name("backward.source").name;
  network.backward.shared = point.boolean("backward.shared");
  network.seed = point.seed("seed");
  require_fitting(point, network);
  network.jacobian = jacobian_of(point, network);
  return network;
}

Precision precision_of(const sweep::SweepPoint& point) {
  return point.text("run.precision") == "float64" ? Precision::float64 : Precision::float32;
}

void for_each_combination_of_names(const sweep::Sweep& sweep,
                                   const std::function<void(const sweep::SweepPoint&)>& visit) {
  for_each_combination(sweep, names_something, visit);
}

bool is_seeds(const sweep::Axis& axis) {
  return axis.columns.size() == 1 && axis.columns.front().key == "seed";
}

void for_each_configuration(const sweep::Sweep& sweep,
                            const std::function<void(const sweep::SweepPoint&)>& visit) {
  for_each_combination(sweep, std::not_fn(is_seeds), visit);
}

void for_each_network(const sweep::Sweep& sweep, const std::function<void(const sweep::SweepPoint&)>& visit) {
  const bool particular = is_particular(sweep);
  for_each_combination(
      sweep,
      [=](const sweep::Axis& axis) {
        return names_something(axis) || changes_jacobian(axis) || (particular && sizes_something(axis));
      },
      visit);
}

int most_directions(const sweep::Sweep& sweep) {
  int most = 0;
  for_each_network(sweep, [&](const sweep::SweepPoint& point) {
    if (!point.has("jacobian.directions")) return;
    most = std::max(most, network_of(point).jacobian->directions);
  });
  return most;
}

void require_networks(const sweep::Sweep& sweep) {
  bool numbers_matter = false;
  for_each_network(sweep, [&](const sweep::SweepPoint& point) {
    numbers_matter |= depends_on_numbers(*network_of(point).init.scheme);
  });
  if (!numbers_matter) return;
  for_each_combination(
      sweep, [](const sweep::Axis& axis) { return names_something(axis) || limits_a_scheme(axis); },
      [](const sweep::SweepPoint& point) { network_of(point); });
}

bool depths_differ(const sweep::Sweep& sweep) {
  std::set<std::pair<int, int>> different;
  for_each_combination(sweep, changes_depth, [&](const sweep::SweepPoint& point) {
    different.emplace(widths_of(point).depth(), stack_of(point));
  });
  return different.size() > 1;
}

int most_levels(const sweep::Sweep& sweep) {
  int most = 1;
  for_each_combination(sweep, names_something,
                       [&](const sweep::SweepPoint& point) { most = std::max(most, stack_of(point)); });
  return most;
}

sweep::SweepPoint shallowest_point(const sweep::Sweep& sweep) {
  sweep::SweepPoint shallowest = sweep.point(0);
  for_each_combination(sweep, changes_depth, [&](const sweep::SweepPoint& point) {
    if (widths_of(point).depth() < widths_of(shallowest).depth()) shallowest = point;
  });
  return shallowest;
}

}  // namespace gradflow::experiment
