#include "skeleton.hpp"

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "gradflow/core/failure.hpp"
#include "gradflow/hdf5/attribute.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/scale.hpp"
#include "names.hpp"

namespace gradflow::store {
namespace {

using hdf5::Dataset;
using hdf5::write_attribute;

/// Points whose coordinates are in memory at one time.
constexpr std::uint64_t points_per_write = 65536;
constexpr std::uint64_t ragged_points_per_write = 1024;  // each has a row per layer

template <class Write>
void for_each_part(std::uint64_t points, std::uint64_t most, const Write& write) {
  for (std::uint64_t first = 0; first < points; first += most) write(first, std::min(most, points - first));
}

template <class Value>
auto values_of(const Value& value, std::uint64_t first, std::uint64_t points) {
  std::vector<decltype(value(first))> values;
  values.reserve(points);
  for (std::uint64_t point = first; point < first + points; ++point) values.push_back(value(point));
  return values;
}

std::vector<std::string> failure_meanings() {
  std::vector<std::string> meanings;
  for (int code = 0; code <= int(last_failure_code); ++code) {
    std::string words(meaning(FailureCode(code)));
    std::replace_if(
        words.begin(), words.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
    meanings.push_back(words);
  }
  return meanings;
}

/// The rows of consecutive points, one after the other.
struct RaggedRows {
  std::vector<std::int64_t> sizes, starts;  ///< by point
  std::vector<std::int32_t> layers;         ///< by row
  std::vector<std::int64_t> points;         ///< by row
};

RaggedRows ragged_rows(const LayersOf& layers_of, std::uint64_t first, std::uint64_t points,
                       std::int64_t first_row) {
  RaggedRows rows;
  for (std::uint64_t point = first; point < first + points; ++point) {
    const std::vector<int> stored = layers_of(point);
    rows.sizes.push_back(std::int64_t(stored.size()));
    rows.starts.push_back(first_row + std::int64_t(rows.layers.size()));
    rows.layers.insert(rows.layers.end(), stored.begin(), stored.end());
    rows.points.insert(rows.points.end(), stored.size(), std::int64_t(point));
  }
  return rows;
}

template <class T>
Dataset create(const hdf5::File& file, const std::string& name, const hdf5::Shape& shape) {
  if constexpr (std::is_same_v<T, std::string>)
    return Dataset::create_texts(file, name, shape);
  else
    return Dataset::create<T>(file, name, shape, hdf5::Space::unfilled);
}

template <class T>
void write(const Dataset& variable, const hdf5::Slab& slab, const std::vector<T>& values) {
  if constexpr (std::is_same_v<T, std::string>)
    variable.write_texts(slab, values);
  else
    variable.write<T>(slab, values);
}

void write_flags(const Dataset& variable, const std::vector<std::string>& meanings) {
  std::vector<std::int8_t> values;
  std::string joined;
  for (std::size_t i = 0; i < meanings.size(); ++i) {
    values.push_back(std::int8_t(i));
    joined += (i == 0 ? "" : " ") + meanings[i];
  }
  write_attribute(variable.get(), "flag_values", values);
  write_attribute(variable.get(), "flag_meanings", joined);
}

class Skeleton {
 public:
  Skeleton(const std::filesystem::path& path, const FileSchema& schema)
      : schema_(schema), file_(hdf5::File::create(path)) {}

  hdf5::File write() && {
    write_root_attributes();
    write_axes();
    write_records();
    for (const Coordinate& coordinate : schema_.coordinates) write_coordinate(coordinate);
    for (const stats::Column& column : schema_.columns) write_column(column);
    write_launch_facts();
    for (auto& [name, axis] : axes_) axis.close();
    axes_.clear();
    return std::move(file_);
  }

 private:
  void write_root_attributes();
  void write_axes();
  void write_layer_axis(const std::vector<int>& layers);
  void write_ragged_axis(const LayersOf& layers_of);
  void write_layer_coordinate(const LayerCoordinate& coordinate) const;
  void write_axis_values(const Dimension& dimension);
  void write_records();
  void write_coordinate(const Coordinate& coordinate);
  void write_column(const stats::Column& column);
  void write_launch_facts();

  void add_axis(Dataset axis) {
    const std::string name = axis.name();
    axes_.emplace(name, std::move(axis));
  }
  hdf5::Shape shape_of(const std::vector<std::string>& axes) const;
  void attach(const Dataset& variable, const std::vector<std::string>& axes) const;

  template <class T>
  Dataset variable(const std::string& name, const std::vector<std::string>& axes,
                   hdf5::Space space = hdf5::Space::unfilled) const {
    Dataset made = Dataset::create<T>(file_, name, shape_of(axes), space);
    attach(made, axes);
    return made;
  }

  void describe(const Dataset& variable, std::string_view role, const std::string& long_name,
                const std::string& units = "1", const std::string& formula = "") const;
  void name_coordinates(const Dataset& variable, bool per_layer = false) const;

  template <class T>
  void write_values(const Coordinate& coordinate, const std::function<T(std::uint64_t)>& value) const;

  const FileSchema& schema_;
  hdf5::File file_;
  std::map<std::string, Dataset> axes_;
};

hdf5::Shape Skeleton::shape_of(const std::vector<std::string>& axes) const {
  hdf5::Shape shape;
  for (const std::string& axis : axes) shape.push_back(axes_.at(axis).shape().front());
  return shape;
}

void Skeleton::attach(const Dataset& variable, const std::vector<std::string>& axes) const {
  for (unsigned i = 0; i < axes.size(); ++i) hdf5::attach_scale(variable, axes_.at(axes[i]), i);
}

void Skeleton::describe(const Dataset& variable, std::string_view role, const std::string& long_name,
                        const std::string& units, const std::string& formula) const {
  write_attribute(variable.get(), "long_name", long_name);
  write_attribute(variable.get(), "units", units);
  if (!formula.empty()) write_attribute(variable.get(), "formula", formula);
  write_attribute(variable.get(), names::role, std::string(role));
}

void Skeleton::name_coordinates(const Dataset& variable, bool per_layer) const {
  std::string listed = per_layer && is_ragged(schema_) ? "layer point_index " : "";
  for (const LayerCoordinate& coordinate : schema_.layer_coordinates) {
    if (per_layer) listed += coordinate.name + " ";
  }
  for (const Coordinate& coordinate : schema_.coordinates) {
    if (coordinate.swept) listed += coordinate.name + " ";
  }
  write_attribute(variable.get(), "coordinates", listed + names::status);
}

void Skeleton::write_root_attributes() {
  const hid_t root = file_.get();
  write_attribute(root, "Conventions", "CF-1.10");
  write_attribute(root, "title", schema_.title);
  write_attribute(root, names::schema, schema_version);
  write_attribute(root, names::numerics_identity, schema_.numerics_identity);
  write_attribute(root, names::openblas_core, schema_.openblas_core);
  if (schema_.archive) write_attribute(root, names::finalized, std::int64_t(1));
  for (const auto& [name, value] : schema_.attributes) {
    std::visit([&, &key = name](const auto& it) { write_attribute(root, key, it); }, value);
  }
}

void Skeleton::write_axes() {
  add_axis(hdf5::create_axis(file_, names::point, schema_.points));
  if (is_ragged(schema_)) {
    write_ragged_axis(std::get<LayersOf>(schema_.layers));
  } else {
    write_layer_axis(std::get<std::vector<int>>(schema_.layers));
  }
  for (const LayerCoordinate& coordinate : schema_.layer_coordinates) write_layer_coordinate(coordinate);
  for (const Dimension& dimension : schema_.dimensions) write_axis_values(dimension);
}

void Skeleton::write_layer_axis(const std::vector<int>& layers) {
  Dataset axis = Dataset::create<std::int32_t>(file_, names::layer, {layers.size()}, hdf5::Space::unfilled);
  axis.write<std::int32_t>(hdf5::whole(axis.shape()), layers);
  describe(axis, names::roles::axis, "layer, from 1 in forward direction");
  hdf5::make_scale(axis);
  add_axis(std::move(axis));
}

void Skeleton::write_ragged_axis(const LayersOf& layers_of) {
  std::uint64_t rows = 0;
  for (std::uint64_t point = 0; point < schema_.points; ++point) rows += layers_of(point).size();
  add_axis(hdf5::create_axis(file_, names::obs, rows));

  Dataset size = variable<std::int64_t>(names::row_size, {names::point});
  Dataset start = variable<std::int64_t>(names::row_start, {names::point});
  Dataset layer = variable<std::int32_t>(names::layer, {names::obs});
  Dataset index = variable<std::int64_t>(names::point_index, {names::obs});
  describe(size, names::roles::axis, "number of stored layers of a point");
  write_attribute(size.get(), "sample_dimension", names::obs);
  describe(start, names::roles::axis, "first row of a point along obs, from 0");
  describe(layer, names::roles::axis, "layer, from 1 in forward direction");
  describe(index, names::roles::axis, "the point a row belongs to, from 0");

  std::int64_t row = 0;
  for_each_part(schema_.points, ragged_points_per_write, [&](std::uint64_t first, std::uint64_t points) {
    const RaggedRows part = ragged_rows(layers_of, first, points, row);
    store::write(size, {{first}, {points}}, part.sizes);
    store::write(start, {{first}, {points}}, part.starts);
    store::write(layer, {{hsize_t(row)}, {part.layers.size()}}, part.layers);
    store::write(index, {{hsize_t(row)}, {part.points.size()}}, part.points);
    row += std::int64_t(part.layers.size());
  });
  for (Dataset* written : {&size, &start, &layer, &index}) written->close();
}

void Skeleton::write_layer_coordinate(const LayerCoordinate& coordinate) const {
  const bool ragged = is_ragged(schema_);
  Dataset made = variable<std::int32_t>(coordinate.name, {ragged ? names::obs : names::layer});
  describe(made, names::roles::axis, coordinate.long_name);
  hsize_t row = 0;
  for (std::uint64_t point = 0; point < (ragged ? schema_.points : 1); ++point) {
    const std::vector<std::int32_t> values = coordinate.values(point);
    store::write(made, {{row}, {values.size()}}, values);
    row += values.size();
  }
  made.close();
}

void Skeleton::write_axis_values(const Dimension& dimension) {
  std::visit(
      [&]<class T>(const std::vector<T>& values) {
        Dataset axis = create<T>(file_, dimension.name, {values.size()});
        store::write(axis, hdf5::whole(axis.shape()), values);
        describe(axis, names::roles::axis, dimension.long_name);
        hdf5::make_scale(axis);
        add_axis(std::move(axis));
      },
      dimension.values);
}

void Skeleton::write_records() {
  Dataset status = variable<std::int8_t>(names::status, {names::point}, hdf5::Space::zero);
  describe(status, names::roles::record, "what has become of a point; mask by status == 1");
  write_flags(status, {"not_done", "done", "failed"});

  Dataset sum = variable<std::uint64_t>(names::checksum, {names::point}, hdf5::Space::zero);
  describe(sum, names::roles::record, "checksum of a point's statistics", "1",
           "sum mod 2^64 over variables and stored layers of XXH64(point hash, name, layer, values)");

  Dataset hash = variable<std::uint64_t>(names::point_hash, {names::point});
  describe(hash, names::roles::record, "what a point is: hash of its keys and values");
  for_each_part(schema_.points, points_per_write, [&](std::uint64_t first, std::uint64_t points) {
    store::write(hash, {{first}, {points}}, point_hashes(schema_, first, points));
  });

  Dataset code = variable<std::int8_t>(names::failure_code, {names::point}, hdf5::Space::zero);
  describe(code, names::roles::record, "why a point failed");
  write_flags(code, failure_meanings());
  Dataset layer = variable<std::int32_t>(names::failure_layer, {names::point}, hdf5::Space::zero);
  describe(layer, names::roles::record, "the layer at which a point failed, 0 if it did not");
  for (const Dataset* record : {&sum, &hash, &code, &layer}) name_coordinates(*record);
  for (Dataset* written : {&status, &sum, &hash, &code, &layer}) written->close();
}

template <class T>
void Skeleton::write_values(const Coordinate& coordinate,
                            const std::function<T(std::uint64_t)>& value) const {
  const hdf5::Shape shape = coordinate.swept ? hdf5::Shape{schema_.points} : hdf5::Shape{};
  Dataset made = create<T>(file_, coordinate.name, shape);
  if (coordinate.swept) attach(made, {names::point});
  describe(made, coordinate.swept ? names::roles::swept : names::roles::fixed, coordinate.long_name,
           coordinate.units);
  if (coordinate.swept) {
    for_each_part(schema_.points, points_per_write, [&](std::uint64_t first, std::uint64_t points) {
      store::write(made, {{first}, {points}}, values_of(value, first, points));
    });
  } else {
    store::write(made, {}, std::vector<T>{value(0)});
  }
  made.close();
}

void Skeleton::write_coordinate(const Coordinate& coordinate) {
  std::visit([&](const auto& value) { write_values(coordinate, value); }, coordinate.values);
}

void Skeleton::write_column(const stats::Column& column) {
  const bool per_obs = column.per_layer && is_ragged(schema_);
  std::vector<std::string> axes;
  axes.push_back(per_obs ? names::obs : names::point);
  if (column.per_layer && !per_obs) axes.push_back(names::layer);
  if (!column.extra_dimension.empty()) {
    expect(axes_.contains(column.extra_dimension), "the schema has every dimension its columns name");
    axes.push_back(column.extra_dimension);
    expect(shape_of(axes).back() == hsize_t(column.extent), "a column is as long as the dimension it names");
  }

  const hdf5::Space space = schema_.archive ? hdf5::Space::archive : hdf5::Space::unfilled;
  Dataset made = variable<double>(column.name, axes, space);
  describe(made, names::roles::statistic, column.long_name, column.units, column.formula);
  if (!column.setting.empty()) write_attribute(made.get(), names::setting, column.setting);
  name_coordinates(made, column.per_layer);
  if (column.run_fact) write_attribute(made.get(), names::run_fact, std::int32_t(1));
  made.close();
}

void Skeleton::write_launch_facts() {
  if (schema_.launch_facts.empty()) return;
  add_axis(hdf5::create_axis(file_, names::launch, launches_kept));
  add_axis(hdf5::create_axis(file_, names::launch_text, launch_text_bytes));
  for (const std::string& fact : schema_.launch_facts) {
    Dataset ring = Dataset::create_characters(file_, fact, {launches_kept, launch_text_bytes});
    attach(ring, {names::launch, names::launch_text});
    describe(ring, names::roles::launch, "fact of one launch; launch n stands in row n modulo the length");
    write_attribute(ring.get(), names::run_fact, std::int32_t(1));
    ring.close();
  }
  Dataset count = variable<std::int64_t>(names::launch_count, {}, hdf5::Space::zero);
  describe(count, names::roles::record, "launches that wrote this file");
  write_attribute(count.get(), names::run_fact, std::int32_t(1));
  count.close();
}

}  // namespace

hdf5::File create_skeleton(const std::filesystem::path& path, const FileSchema& schema) {
  return Skeleton(path, schema).write();
}

}  // namespace gradflow::store
