#include "gradflow/experiment/file_schema.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "gradflow/core/hash.hpp"
#include "gradflow/experiment/identity.hpp"
#include "gradflow/experiment/network.hpp"
#include "gradflow/nn/activation.hpp"
#include "gradflow/nn/weight_gradient.hpp"
#include "gradflow/stats/axes.hpp"
#include "gradflow/stats/formats.hpp"
#include "sample.hpp"

namespace gradflow::experiment {
namespace {

using sweep::NamedValue;
using sweep::Value;

std::string text_of(const Value& value) {
  if (const auto* named = std::get_if<NamedValue>(&value)) return named->name;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return sweep::display(value);
}

store::PointValues values_of(const sweep::Sweep& sweep, const sweep::Key& key) {
  const auto read = [&sweep, name = key.name](auto get, auto absent) {
    return [&sweep, name, get, absent](std::uint64_t k) {
      const sweep::SweepPoint point = sweep.point(k);
      return point.has(name) ? get(point, name) : absent;
    };
  };
  using Point = const sweep::SweepPoint&;
  using Name = const std::string&;
  switch (key.type) {
    case sweep::Type::real:
      return store::RealOf(
          read([](Point p, Name n) { return p.real(n); }, std::numeric_limits<double>::quiet_NaN()));
    case sweep::Type::integer:
      return store::IntegerOf(read([](Point p, Name n) { return p.integer(n); }, std::int64_t(0)));
    case sweep::Type::boolean:
      return store::IntegerOf(
          read([](Point p, Name n) { return std::int64_t(p.boolean(n)); }, std::int64_t(0)));
    case sweep::Type::seed:
      return store::UnsignedOf(read([](Point p, Name n) { return p.seed(n); }, std::uint64_t(0)));
    default:
      return store::TextOf(read([](Point p, Name n) { return text_of(p.at(n)); }, std::string()));
  }
}

/// Every value the key takes in the sweep.
std::vector<Value> values_in(const sweep::Sweep& sweep, const std::string& key) {
  if (const Value* fixed = sweep.fixed(key)) return {*fixed};
  for (const sweep::Axis& axis : sweep.axes()) {
    for (const sweep::Column& column : axis.columns) {
      if (column.key == key) return column.values;
    }
  }
  return {};
}

/// Names of the parameters that some value of the key is given with.
std::set<std::string> parameters_in(const sweep::Sweep& sweep, const std::string& key) {
  std::set<std::string> parameters;
  for (const Value& value : values_in(sweep, key)) {
    if (const auto* named = std::get_if<NamedValue>(&value)) {
      for (const auto& entry : named->parameters) parameters.insert(entry.first);
    }
  }
  return parameters;
}

/// Whether some value gives the parameter as a text.
bool is_text_parameter(const sweep::Sweep& sweep, const std::string& key, const std::string& parameter) {
  for (const Value& value : values_in(sweep, key)) {
    const auto* named = std::get_if<NamedValue>(&value);
    if (!named || !named->has(parameter)) continue;
    if (std::holds_alternative<std::string>(named->parameters.at(parameter))) return true;
  }
  return false;
}

store::PointValues parameter_values(const sweep::Sweep& sweep, const sweep::Key& key,
                                    const std::string& parameter) {
  if (is_text_parameter(sweep, key.name, parameter)) {
    return store::TextOf([&sweep, name = key.name, parameter](std::uint64_t k) {
      return sweep.point(k).name(name).text(parameter, "");
    });
  }
  constexpr double absent = std::numeric_limits<double>::quiet_NaN();
  return store::RealOf([&sweep, name = key.name, parameter](std::uint64_t k) {
    return sweep.point(k).name(name).real(parameter, absent);
  });
}

store::Coordinate parameter_coordinate(const sweep::Sweep& sweep, const sweep::Key& key,
                                       const std::string& parameter) {
  return {.name = sweep::coordinate_name(sweep.schema(), key.name, parameter),
          .long_name = fmt::format("{} of {}", parameter, key.name),
          .values = parameter_values(sweep, key, parameter),
          .swept = sweep.is_swept(key.name)};
}

/// The key as a variable, followed by the parameters its values are given with.
void append_key(std::vector<store::Coordinate>& coordinates, const sweep::Sweep& sweep,
                const sweep::Key& key) {
  coordinates.push_back({.name = sweep::coordinate_name(sweep.schema(), key.name),
                         .long_name = fmt::format("{}: {}", key.name, key.doc),
                         .values = values_of(sweep, key),
                         .swept = sweep.is_swept(key.name)});
  for (const std::string& parameter : parameters_in(sweep, key.name)) {
    coordinates.push_back(parameter_coordinate(sweep, key, parameter));
  }
}

/// Swept keys in the order of the axes, then the fixed ones in that of the schema.
std::vector<store::Coordinate> coordinates_of(const sweep::Sweep& sweep) {
  std::vector<store::Coordinate> coordinates;
  for (const sweep::Axis& axis : sweep.axes()) {
    for (const sweep::Column& column : axis.columns)
      append_key(coordinates, sweep, *sweep.schema().find(column.key));
  }
  for (const sweep::Key& key : sweep.schema().keys()) {
    if (key.enters_hash && sweep.fixed(key.name)) append_key(coordinates, sweep, key);
  }
  return coordinates;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += text + "\n";
  return all;
}

std::vector<std::pair<std::string, store::AttributeValue>> attributes_of(const sweep::Sweep& sweep) {
  std::vector<std::pair<std::string, store::AttributeValue>> attributes;
  for (const auto& [name, version] : versions()) attributes.emplace_back(name, version);
  attributes.emplace_back("sweep_file", sweep.text());
  attributes.emplace_back("sweep_file_xxh64", fmt::format("{:016x}", xxh64(sweep.text())));
  attributes.emplace_back("sweep_overrides", joined(sweep.overrides()));
  attributes.emplace_back("statistics_preset", std::get<std::string>(*sweep.fixed("statistics.preset")));
  const auto& also = std::get<std::vector<std::string>>(*sweep.fixed("statistics.also"));
  if (!also.empty()) attributes.emplace_back("statistics_also", fmt::format("{}", fmt::join(also, " ")));
  attributes.emplace_back("statistics_layers", std::get<std::string>(*sweep.fixed("statistics.layers")));
  attributes.emplace_back("saturation_threshold", nn::saturation_threshold);
  attributes.emplace_back("weight_gradient_norms", std::string(nn::weight_gradient_rule));
  return attributes;
}

/// `format` in every file, the others where a column has them.
std::vector<store::Dimension> dimensions_of(const stats::Columns& columns) {
  std::vector<double> shares;
  for (const int percent : stats::quantile_percents) shares.push_back(percent / 100.0);
  std::vector<std::int64_t> octaves(stats::octave_bins);
  std::iota(octaves.begin(), octaves.end(), stats::first_octave);
  std::vector<store::Dimension> dimensions{
      {"format", "floating-point format", stats::format_names()},
      {"bin", "octave of a magnitude, from that of the root mean square", octaves},
      {"quantile", "share of the elements that do not exceed the quantile", shares},
      {"lag", "places between two samples of the batch",
       std::vector<std::int64_t>(stats::lags.begin(), stats::lags.end())}};
  std::erase_if(dimensions, [&](const store::Dimension& dimension) {
    return dimension.name != "format" &&
           std::ranges::find(columns, dimension.name, &stats::Column::extra_dimension) == columns.end();
  });
  const auto by_level =
      std::ranges::find(columns, std::string("stack_level"), &stats::Column::extra_dimension);
  if (by_level == columns.end()) return dimensions;
  std::vector<std::int64_t> levels(static_cast<std::size_t>(by_level->extent));
  std::iota(levels.begin(), levels.end(), 1);
  dimensions.push_back({"stack_level", "level of a stacked recurrent network, from 1 at the input", levels});
  return dimensions;
}

store::StoredLayers stored_layers(const sweep::Sweep& sweep, const Row& row) {
  if (!depths_differ(sweep)) return row.layers(network_of(sweep.point(0)).depth());
  return store::LayersOf(
      [&sweep, &row](std::uint64_t k) { return row.layers(network_of(sweep.point(k)).depth()); });
}

/// Where a layer stands in a stack of recurrent levels; nothing where there is none.
std::vector<store::LayerCoordinate> layer_coordinates_of(const sweep::Sweep& sweep, const Row& row) {
  if (most_levels(sweep) == 1) return {};
  const auto of_network = [&](auto place) {
    return [&, place](std::uint64_t k) {
      const nn::NetworkSpec network = network_of(sweep.point(k));
      std::vector<int> values = row.layers(network.depth());
      std::ranges::transform(values, values.begin(), [&](int layer) { return (network.*place)(layer); });
      return values;
    };
  };
  return {{"time", "step in time, from 1", of_network(&nn::NetworkSpec::time_of)},
          {"level", "level of a stacked recurrent network, from 1 at the input",
           of_network(&nn::NetworkSpec::level_of)}};
}

double rows_per_point(const store::FileSchema& schema) {
  const std::vector<std::uint64_t> points = sample(schema.points, store::is_ragged(schema) ? 10'000 : 1);
  double rows = 0;
  for (const std::uint64_t k : points) rows += double(store::layers_of(schema, k).size());
  return rows / double(points.size());
}

}  // namespace

store::FileSchema file_schema(const sweep::Sweep& sweep, const Row& row) {
  const NumericsIdentity identity = numerics_identity();
  store::FileSchema schema;
  schema.title = sweep.title();
  schema.points = sweep.size();
  schema.point_hash = [&sweep](std::uint64_t k) { return sweep.point(k).hash(); };
  schema.coordinates = coordinates_of(sweep);
  schema.layers = stored_layers(sweep, row);
  schema.columns = *row.columns();
  schema.columns_of = [&sweep, &row](std::uint64_t k) { return row.columns_of(network_of(sweep.point(k))); };
  schema.layer_coordinates = layer_coordinates_of(sweep, row);
  schema.dimensions = dimensions_of(schema.columns);
  if (row.directions() > 0) {
    std::vector<std::int64_t> indices(static_cast<std::size_t>(row.directions()));
    std::iota(indices.begin(), indices.end(), 1);
    schema.dimensions.push_back({"index", "direction, from 1", std::move(indices)});
  }
  schema.numerics_identity = identity.text();
  schema.openblas_core = identity.openblas_core;
  schema.attributes = attributes_of(sweep);
  schema.launch_facts = {"launch_start",    "launch_hosts", "launch_ranks", "launch_job",
                         "launch_numerics", "launch_shard", "launch_found", "launch_wanted"};
  return schema;
}

double predicted_file_bytes(const store::FileSchema& schema) {
  std::uint64_t per_row = 0;
  std::uint64_t per_point = 8 + 8 + 1 + 1 + 4;  // hash, checksum, status, failure code and layer
  for (const stats::Column& column : schema.columns) {
    (column.per_layer ? per_row : per_point) += std::uint64_t(8 * column.extent);
  }
  for (const store::Coordinate& coordinate : schema.coordinates) per_point += coordinate.swept ? 24 : 0;

  if (store::is_ragged(schema)) {
    per_row += 4 + 4 + 4 * schema.layer_coordinates.size();  // layer, point_index
    per_point += 8 + 8;                                      // row_size, row_start
  }
  return double(schema.points) * (rows_per_point(schema) * double(per_row) + double(per_point));
}

}  // namespace gradflow::experiment
