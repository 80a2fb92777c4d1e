#include "gradflow/experiment/network.hpp"

#include <algorithm>
#include <array>
#include <functional>

namespace gradflow::experiment {
namespace {

/// Whether the user wrote the key, rather than leaving it to its default.
bool given(const sweep::SweepPoint& point, std::string_view key) {
  return point.has(key) && (point.place_of(key).line > 0 || point.place_of(key).file.starts_with("--set"));
}

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
  for (const char* key : {"network.depth", "network.width"}) {
    if (!point.has(key)) throw point.error(key, "is missing; expected an integer, or network.widths instead");
  }
  return nn::Widths::uniform(int(point.integer("network.depth")), int(point.integer("network.width")));
}

nn::Activation activation_of(const sweep::SweepPoint& point) {
  const sweep::NamedValue& value = point.name("network.activation");
  if (value.parameters.empty()) return nn::Activation::named(value.name);
  return nn::Activation::named(value.name, value.real(value.parameters.begin()->first, 0));
}

nn::Initialisation initialisation_of(const sweep::SweepPoint& point) {
  const auto number = [&](std::string_view key) {
    return given(point, key) ? std::optional<double>(point.real(key)) : std::nullopt;
  };
  try {
    return nn::Initialisation::make(point.name("init.scheme").name, number("init.sigma_w"),
                                    number("init.sigma_b"), number("init.gain"));
  } catch (const UserError& error) {
    throw point.error("init.scheme", error.what());
  }
}

/// Index distance of neighbouring values of each axis; the last axis is fastest.
std::vector<std::uint64_t> strides_of(const sweep::Sweep& sweep) {
  std::vector<std::uint64_t> strides(sweep.axes().size(), 1);
  for (std::size_t i = strides.size(); i-- > 1;) strides[i - 1] = strides[i] * sweep.axes()[i].size();
  return strides;
}

bool names_something(const sweep::Axis& axis) {
  constexpr std::array structural{
      "network.block", "network.widths",  "network.activation", "network.normalization",
      "init.scheme",   "backward.source", "data.source"};
  return std::ranges::any_of(axis.columns, [&](const sweep::Column& column) {
    return std::ranges::find(structural, column.key) != structural.end();
  });
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
    return column.key == "network.depth" || column.key == "network.widths";
  });
}

}  // namespace

nn::NetworkSpec network_of(const sweep::SweepPoint& point) {
  nn::NetworkSpec network;
  network.block = point.name("network.block").name;
  network.widths = widths_of(point);
  network.activation = activation_of(point);
  network.init = initialisation_of(point);
  network.data = point.name("data.source").name;
  network.batch = int(point.integer("data.batch"));
  network.backward.loss = point.name("backward.source").name;
  network.backward.shared = point.boolean("backward.shared");
  network.seed = point.seed("seed");
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

void require_networks(const sweep::Sweep& sweep) {
  for_each_combination_of_names(sweep, [](const sweep::SweepPoint& point) { network_of(point); });
}

bool depths_differ(const sweep::Sweep& sweep) {
  int least = 0;
  int most = 0;
  for_each_combination(sweep, changes_depth, [&](const sweep::SweepPoint& point) {
    const int depth = widths_of(point).depth();
    least = least == 0 ? depth : std::min(least, depth);
    most = std::max(most, depth);
  });
  return least != most;
}

sweep::SweepPoint shallowest_point(const sweep::Sweep& sweep) {
  sweep::SweepPoint shallowest = sweep.point(0);
  for_each_combination(sweep, changes_depth, [&](const sweep::SweepPoint& point) {
    if (widths_of(point).depth() < widths_of(shallowest).depth()) shallowest = point;
  });
  return shallowest;
}

}  // namespace gradflow::experiment
