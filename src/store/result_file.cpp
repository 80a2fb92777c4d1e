#include "gradflow/store/result_file.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/hdf5/attribute.hpp"
#include "gradflow/hdf5/scale.hpp"
#include "gradflow/store/checksum.hpp"
#include "names.hpp"

namespace gradflow::store {
namespace {

namespace fs = std::filesystem;
using hdf5::Dataset;

std::string text_or_empty(hid_t object, const std::string& name) {
  return hdf5::has_attribute(object, name) ? hdf5::read_text_attribute(object, name) : "";
}

void require_hdf5(const fs::path& path) {
  std::error_code unknown;
  const fs::file_status found = fs::status(path, unknown);
  if (!fs::exists(found)) throw UserError(fmt::format("there is no file {}", path.string()));
  if (fs::is_directory(found))
    throw UserError(fmt::format("{} is a directory; give the name of a file", path.string()));
  if (!hdf5::File::is_hdf5(path)) {
    throw UserError(fmt::format("{} is not a gradflow result file: it is no HDF5 file", path.string()));
  }
}

void require_ours(const fs::path& path, const hdf5::File& file) {
  if (!hdf5::has_attribute(file.get(), names::schema)) {
    throw UserError(fmt::format("{} is not a gradflow result file: it lacks the attribute {}", path.string(),
                                names::schema));
  }
  const auto version = hdf5::read_number_attribute<std::int64_t>(file.get(), names::schema);
  if (version > schema_version) {
    throw UserError(
        fmt::format("{} was written by a newer gradflow ({} {}, this one reads up to {}); update gradflow",
                    path.string(), names::schema, version, schema_version));
  }
}

/// Values of one layer: singular values of a Jacobian are the most.
constexpr hsize_t most_extent = 1 << 24;

/// Calls act; what HDF5 finds wrong with the file is the user's to know.
template <class Act>
decltype(auto) of_file(const fs::path& path, Act act) {
  try {
    return act();
  } catch (const Error& error) {
    throw UserError(fmt::format("{} is damaged or truncated: {}", path.string(), error.what()));
  }
}

[[noreturn]] void refuse(const fs::path& path, const std::string& what) {
  throw UserError(fmt::format("{} is damaged: {}", path.string(), what));
}

stats::Column column_of(const fs::path& path, const Dataset& variable) {
  stats::Column column;
  const hid_t id = variable.get();
  column.name = variable.name();
  column.long_name = text_or_empty(id, "long_name");
  column.units = text_or_empty(id, "units");
  column.formula = text_or_empty(id, "formula");
  column.setting = text_or_empty(id, names::setting);
  column.run_fact = hdf5::has_attribute(id, names::run_fact);

  const std::vector<std::string> axes = hdf5::axis_names(variable);
  if (axes.empty() || axes.size() > 3) refuse(path, fmt::format("{} has {} axes", column.name, axes.size()));
  column.per_layer = axes.front() == names::obs || (axes.size() > 1 && axes[1] == names::layer);
  const std::size_t own_axes = column.per_layer && axes.front() == names::point ? 2 : 1;
  if (axes.size() > own_axes) {
    column.extra_dimension = axes.back();
    const hsize_t extent = variable.shape().back();
    if (extent < 1 || extent > most_extent)
      refuse(path, fmt::format("{} has {} columns", column.name, extent));
    column.extent = int(extent);
  }
  return column;
}

std::string attribute_text(hid_t file, const std::string& name) {
  switch (hdf5::attribute_kind(file, name)) {
    case hdf5::Kind::text:
      return hdf5::read_text_attribute(file, name);
    case hdf5::Kind::real:
      return fmt::format("{}", hdf5::read_number_attribute<double>(file, name));
    default:
      return fmt::format("{}", hdf5::read_number_attribute<std::int64_t>(file, name));
  }
}

template <class T>
std::vector<std::string> printed(const std::vector<T>& values) {
  std::vector<std::string> texts;
  texts.reserve(values.size());
  for (const T& value : values) texts.push_back(fmt::format("{}", value));
  return texts;
}

std::vector<std::string> texts_in(const Dataset& variable, const hdf5::Slab& slab) {
  switch (variable.kind()) {
    case hdf5::Kind::text:
      return variable.read_texts(slab);
    case hdf5::Kind::signed_integer:
      return printed(variable.read<std::int64_t>(slab));
    case hdf5::Kind::unsigned_integer:
      return printed(variable.read<std::uint64_t>(slab));
    default:
      return printed(variable.read<double>(slab));
  }
}

}  // namespace

ResultFile ResultFile::open(const fs::path& path) {
  require_hdf5(path);
  return of_file(path, [&]() -> ResultFile {
    hdf5::File file = hdf5::File::open_read_only(path);
    require_ours(path, file);
    return {path, std::move(file)};
  });
}

ResultFile::ResultFile(fs::path path, hdf5::File file) : path_(std::move(path)), file_(std::move(file)) {
  const hdf5::Shape shape = dataset(names::status).shape();
  if (shape.size() != 1) refuse(path_, "status is no list");
  points_ = shape[0];
  ragged_ = has(names::obs);
  for (const char* record :
       {names::status, names::checksum, names::point_hash, names::failure_code, names::failure_layer}) {
    require_shape(record, {points_});
  }
  learn_layers();
  learn_variables();
}

void ResultFile::require_shape(const std::string& name, const hdf5::Shape& expected) const {
  const hdf5::Shape& shape = dataset(name).shape();
  if (shape == expected) return;
  refuse(path_, fmt::format("variable \"{}\" has the shape [{}]; expected [{}]", name, fmt::join(shape, "]["),
                            fmt::join(expected, "][")));
}

void ResultFile::require_ascending(const std::vector<int>& layers) const {
  const bool ascend = std::is_sorted(layers.begin(), layers.end(), std::less_equal<>());
  if (layers.empty() || layers.front() < 1 || !ascend) refuse(path_, "its layers do not ascend from 1");
}

void ResultFile::learn_layers() {
  const Dataset& layer = dataset(names::layer);
  if (layer.shape().size() != 1) refuse(path_, "layer is no list");
  rows_ = layer.shape()[0];
  if (ragged_) {
    for (const char* record : {names::row_start, names::row_size}) require_shape(record, {points_});
    return;
  }
  for (const std::int32_t number : layer.read<std::int32_t>()) layers_.push_back(number);
  require_ascending(layers_);
}

void ResultFile::require_column(const stats::Column& column) const {
  hdf5::Shape expected{column.per_layer && ragged_ ? hsize_t(rows_) : points_};
  if (column.per_layer && !ragged_) expected.push_back(rows_);
  if (!column.extra_dimension.empty()) expected.push_back(hsize_t(column.extent));
  require_shape(column.name, expected);
  if (dataset(column.name).kind() != hdf5::Kind::real) refuse(path_, column.name + " holds no real numbers");
  if (column.extra_dimension.empty()) return;
  require_shape(column.extra_dimension, {hsize_t(column.extent)});
}

void ResultFile::require_readable() const {
  if (points_ == 0) return;
  for (const std::string& name : attributes()) attribute(name);
  for (const stats::Column& column : *columns_) read(column.name, 0);
  name_of(0);
  launches();
}

void ResultFile::learn_variables() {
  stats::Columns columns;
  for (const std::string& name : file_.names()) {
    const std::string role = text_or_empty(dataset(name).get(), names::role);
    if (role == names::roles::swept) {
      require_shape(name, {points_});
      swept_.push_back(name);
    } else if (role == names::roles::fixed) {
      if (hdf5::size_of(dataset(name).shape()) == 0) refuse(path_, name + " has no value");
      fixed_.push_back(name);
    } else if (role == names::roles::statistic) {
      columns.push_back(column_of(path_, dataset(name)));
      require_column(columns.back());
    } else if (role == names::roles::launch) {
      require_shape(name, {launches_kept, launch_text_bytes});
    }
  }
  columns_ = std::make_shared<const stats::Columns>(std::move(columns));
}

const Dataset& ResultFile::dataset(const std::string& name) const {
  const auto known = open_.find(name);
  if (known != open_.end()) return known->second;
  if (!has(name)) throw UserError(fmt::format("{} has no variable \"{}\"", path_.string(), name));
  return of_file(path_, [&]() -> const Dataset& {
    return open_.emplace(name, Dataset::open(file_, name)).first->second;
  });
}

std::vector<std::string> ResultFile::attributes() const {
  return of_file(path_, [&] { return hdf5::attribute_names(file_.get()); });
}

bool ResultFile::has_attribute(const std::string& name) const {
  return of_file(path_, [&] { return hdf5::has_attribute(file_.get(), name); });
}

std::string ResultFile::attribute(const std::string& name) const {
  return of_file(path_, [&] { return attribute_text(file_.get(), name); });
}

bool ResultFile::has(const std::string& variable) const {
  return of_file(path_, [&] { return file_.has(variable); });
}

hdf5::Kind ResultFile::kind(const std::string& variable) const { return dataset(variable).kind(); }

bool ResultFile::is_text(const std::string& variable) const {
  return dataset(variable).kind() == hdf5::Kind::text;
}

std::string ResultFile::describe(const std::string& variable, const std::string& attribute) const {
  const Dataset& described = dataset(variable);
  return of_file(path_, [&] { return text_or_empty(described.get(), attribute); });
}

std::vector<double> ResultFile::numbers(const std::string& coordinate) const {
  if (is_text(coordinate))
    throw UserError(fmt::format("{}: {} is text, not a number", path_.string(), coordinate));
  return values<double>(coordinate);
}

std::vector<std::string> ResultFile::texts(const std::string& coordinate) const {
  return texts(coordinate, hdf5::whole(dataset(coordinate).shape()));
}

std::vector<std::string> ResultFile::texts(const std::string& variable, const hdf5::Slab& slab) const {
  const Dataset& held = dataset(variable);
  std::vector<std::string> texts = of_file(path_, [&] { return texts_in(held, slab); });
  if (texts.empty()) refuse(path_, variable + " has no value");
  return texts;
}

template <class T>
std::vector<T> ResultFile::values(const std::string& variable) const {
  return values<T>(variable, hdf5::whole(dataset(variable).shape()));
}

template <class T>
std::vector<T> ResultFile::values(const std::string& variable, const hdf5::Slab& slab) const {
  const Dataset& held = dataset(variable);
  std::vector<T> values = of_file(path_, [&] { return held.read<T>(slab); });
  if (values.empty()) refuse(path_, variable + " has no value");
  return values;
}

template <class T>
T ResultFile::value_at(const std::string& variable, std::uint64_t point) const {
  return values<T>(variable, {{point}, {1}}).front();
}

std::string ResultFile::name_of(std::uint64_t point) const {
  std::string name;
  for (const std::string& key : swept_) {
    if (!name.empty()) name += ", ";
    name += key + " = " + texts(key, {{point}, {1}}).front();
  }
  return name;
}

const stats::Column& ResultFile::column(const std::string& name) const {
  const auto it =
      std::find_if(columns_->begin(), columns_->end(), [&](const auto& c) { return c.name == name; });
  if (it == columns_->end()) throw UserError(fmt::format("{} has no statistic \"{}\"", path_.string(), name));
  return *it;
}

std::vector<int> ResultFile::layers_of(std::uint64_t point) const {
  if (!ragged_) return layers_;
  const Rows rows = rows_of(point);
  const auto stored = values<std::int32_t>(names::layer, {{rows.first}, {rows.count}});
  const std::vector<int> layers(stored.begin(), stored.end());
  require_ascending(layers);
  return layers;
}

Rows ResultFile::rows_of(std::uint64_t first_point, std::uint64_t points) const {
  expect(points > 0, "rows of at least one point");
  if (!ragged_) return {first_point * layers_.size(), points * layers_.size()};
  const std::uint64_t last = first_point + points - 1;
  const auto start = value_at<std::uint64_t>(names::row_start, first_point);
  const auto end =
      value_at<std::uint64_t>(names::row_start, last) + value_at<std::uint64_t>(names::row_size, last);
  if (start >= end || end > rows_)
    refuse(path_, fmt::format("the rows of point {} lie outside it", first_point));
  return {start, end - start};
}

std::vector<double> ResultFile::read(const std::string& name, std::uint64_t first_point,
                                     std::uint64_t points) const {
  const bool per_layer = column(name).per_layer;
  hdf5::Slab slab = hdf5::whole(dataset(name).shape());
  if (ragged_ && per_layer) {
    const Rows rows = rows_of(first_point, points);
    slab.start[0] = rows.first;
    slab.count[0] = rows.count;
  } else {
    slab.start[0] = first_point;
    slab.count[0] = points;
  }
  return values<double>(name, slab);
}

Status ResultFile::status(std::uint64_t point) const {
  return Status(value_at<std::int8_t>(names::status, point));
}

std::vector<Status> ResultFile::statuses() const {
  std::vector<Status> all;
  all.reserve(points_);
  for (const std::int8_t value : values<std::int8_t>(names::status)) all.push_back(Status(value));
  return all;
}

Failure ResultFile::failure(std::uint64_t point) const {
  return {FailureCode(value_at<std::int8_t>(names::failure_code, point)),
          value_at<std::int32_t>(names::failure_layer, point), 0};
}

std::vector<std::uint64_t> ResultFile::point_hashes() const {
  return values<std::uint64_t>(names::point_hash);
}

std::uint64_t ResultFile::point_hash(std::uint64_t point) const {
  return value_at<std::uint64_t>(names::point_hash, point);
}

std::vector<std::vector<int>> ResultFile::layers_of_each(std::uint64_t first_point,
                                                         std::uint64_t points) const {
  if (!ragged_) return std::vector<std::vector<int>>(points, layers_);
  const Rows rows = rows_of(first_point, points);
  const auto layers = values<std::int32_t>(names::layer, {{rows.first}, {rows.count}});
  const auto sizes = values<std::uint64_t>(names::row_size, {{first_point}, {points}});
  std::vector<std::vector<int>> each;
  auto row = layers.begin();
  for (const std::uint64_t size : sizes) {
    if (size > std::uint64_t(layers.end() - row)) refuse(path_, "row_size and row_start disagree");
    each.emplace_back(row, row + std::ptrdiff_t(size));
    row += std::ptrdiff_t(size);
  }
  return each;
}

std::vector<bool> ResultFile::intact(std::uint64_t first_point, std::uint64_t points) const {
  const std::vector<std::vector<int>> layers = layers_of_each(first_point, points);
  const auto hashes = values<std::uint64_t>(names::point_hash, {{first_point}, {points}});
  std::vector<std::uint64_t> sums(points, 0);
  for (const stats::Column& column : *columns_) {
    if (column.run_fact) continue;
    const std::vector<double> values = read(column.name, first_point, points);
    std::span<const double> rest = values;
    for (std::uint64_t i = 0; i < points; ++i) {
      const std::size_t own = (column.per_layer ? layers[i].size() : 1) * std::size_t(column.extent);
      sums[i] += checksum(hashes[i], column, layers[i], rest.first(own));
      rest = rest.subspan(own);
    }
  }

  const auto stored = values<std::uint64_t>(names::checksum, {{first_point}, {points}});
  const auto status = values<std::int8_t>(names::status, {{first_point}, {points}});
  std::vector<bool> intact(points);
  for (std::uint64_t i = 0; i < points; ++i) {
    intact[i] = Status(status[i]) != Status::not_done && sums[i] == stored[i];
  }
  return intact;
}

std::vector<std::map<std::string, std::string>> ResultFile::launches() const {
  std::vector<std::map<std::string, std::string>> launches;
  if (!has(names::launch_count)) return launches;
  const std::uint64_t count = std::uint64_t(values<std::int64_t>(names::launch_count).front());
  for (std::uint64_t n = count - std::min<std::uint64_t>(count, launches_kept); n < count; ++n) {
    std::map<std::string, std::string>& facts = launches.emplace_back();
    for (const std::string& name : file_.names()) {
      if (describe(name, names::role) != names::roles::launch) continue;
      const hdf5::Slab one{{n % launches_kept, 0}, {1, launch_text_bytes}};
      const std::string text = of_file(path_, [&] { return dataset(name).read_characters(one); });
      facts[name] = text.substr(0, text.find('\0'));
    }
  }
  return launches;
}

}  // namespace gradflow::store
