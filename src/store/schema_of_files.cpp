#include "schema_of_files.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <unordered_set>

#include "gradflow/hdf5/attribute.hpp"
#include "names.hpp"

namespace gradflow::store {
namespace {

using Files = std::vector<ResultFile>;
using Origins = std::vector<Origin>;

template <class T>
std::vector<T> read(const ResultFile& file, const std::string& name) {
  const auto variable = hdf5::Dataset::open(file.hdf5_file(), name);
  if constexpr (std::is_same_v<T, std::string>)
    return variable.read_texts(hdf5::whole(variable.shape()));
  else
    return variable.read<T>();
}

template <class T>
T absent() {
  if constexpr (std::is_same_v<T, double>) return std::numeric_limits<double>::quiet_NaN();
  return T{};
}

/// One key's values in each file: one for each point, one for all, or none.
template <class T>
class KeyValues {
 public:
  KeyValues(const Files& files, const std::string& name) {
    for (const ResultFile& file : files)
      of_file_.push_back(file.has(name) ? read<T>(file, name) : std::vector<T>{absent<T>()});
  }

  T at(Origin origin) const {
    const std::vector<T>& values = of_file_[origin.file];
    return values.size() == 1 ? values.front() : values[origin.point];
  }

 private:
  std::vector<std::vector<T>> of_file_;
};

template <class T>
PointValues values_of(const Files& files, const std::string& name,
                      const std::shared_ptr<const Origins>& points) {
  const auto values = std::make_shared<const KeyValues<T>>(files, name);
  return std::function<T(std::uint64_t)>(
      [values, points](std::uint64_t point) { return values->at((*points)[point]); });
}

PointValues values_of(hdf5::Kind kind, const Files& files, const std::string& name,
                      const std::shared_ptr<const Origins>& points) {
  switch (kind) {
    case hdf5::Kind::text:
      return values_of<std::string>(files, name, points);
    case hdf5::Kind::signed_integer:
      return values_of<std::int64_t>(files, name, points);
    case hdf5::Kind::unsigned_integer:
      return values_of<std::uint64_t>(files, name, points);
    default:
      return values_of<double>(files, name, points);
  }
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

/// Whether every file says that all its points have one value, the same.
bool is_fixed(const Files& files, const std::string& name) {
  return std::ranges::all_of(files, [&](const ResultFile& file) {
    return contains(file.fixed(), name) && file.texts(name) == files.front().texts(name);
  });
}

void append_key(std::vector<Coordinate>& coordinates, const Files& files, const std::string& name,
                const std::shared_ptr<const Origins>& points, bool swept) {
  const bool known = std::ranges::any_of(coordinates, [&](const auto& c) { return c.name == name; });
  if (known || is_fixed(files, name) == swept) return;
  const auto teller = std::ranges::find_if(files, [&](const ResultFile& file) { return file.has(name); });
  coordinates.push_back({.name = name,
                         .long_name = teller->describe(name, "long_name"),
                         .units = teller->describe(name, "units"),
                         .values = values_of(teller->kind(name), files, name, points),
                         .swept = swept});
}

/// Swept keys, then fixed ones, each in the order of the files.
std::vector<Coordinate> coordinates_of(const Files& files, const std::shared_ptr<const Origins>& points) {
  std::vector<Coordinate> coordinates;
  for (const bool swept : {true, false}) {
    for (const ResultFile& file : files) {
      for (const auto* names : {&file.swept(), &file.fixed()}) {
        for (const std::string& name : *names) append_key(coordinates, files, name, points, swept);
      }
    }
  }
  return coordinates;
}

StoredLayers layers_of(const Files& files, const std::shared_ptr<const Origins>& points) {
  const ResultFile& first = files.front();
  const bool rectangle = std::ranges::all_of(files, [&](const ResultFile& file) {
    return !file.is_ragged() && file.layers_of(0) == first.layers_of(0);
  });
  if (rectangle) return first.layers_of(0);
  return LayersOf([&files, points](std::uint64_t point) {
    const Origin origin = (*points)[point];
    return files[origin.file].layers_of(origin.point);
  });
}

/// Axes whose coordinates stand in the file, beside points and layers.
std::vector<Dimension> dimensions_of(const ResultFile& file) {
  std::vector<Dimension> dimensions;
  const std::set<std::string> others{names::point,     names::layer,       names::obs,
                                     names::launch,    names::launch_text, names::row_size,
                                     names::row_start, names::point_index};
  for (const std::string& name : file.hdf5_file().names()) {
    if (others.contains(name) || file.describe(name, names::role) != names::roles::axis) continue;
    Dimension dimension{name, file.describe(name, "long_name"), {}};
    if (file.is_text(name))
      dimension.values = file.texts(name);
    else
      dimension.values = read<std::int64_t>(file, name);
    dimensions.push_back(std::move(dimension));
  }
  return dimensions;
}

AttributeValue attribute_of(const ResultFile& file, const std::string& name) {
  const hid_t root = file.hdf5_file().get();
  switch (hdf5::attribute_kind(root, name)) {
    case hdf5::Kind::text:
      return hdf5::read_text_attribute(root, name);
    case hdf5::Kind::real:
      return hdf5::read_number_attribute<double>(root, name);
    default:
      return hdf5::read_number_attribute<std::int64_t>(root, name);
  }
}

std::vector<std::pair<std::string, AttributeValue>> attributes_of(const ResultFile& file) {
  const std::set<std::string> written_anyway{"Conventions",        "title",
                                             names::schema,        names::numerics_identity,
                                             names::openblas_core, names::finalized};
  std::vector<std::pair<std::string, AttributeValue>> attributes;
  for (const std::string& name : file.attributes()) {
    if (!written_anyway.contains(name)) attributes.emplace_back(name, attribute_of(file, name));
  }
  return attributes;
}

std::vector<std::string> launch_facts_of(const ResultFile& file) {
  std::vector<std::string> facts;
  for (const std::string& name : file.hdf5_file().names()) {
    if (file.describe(name, names::role) == names::roles::launch) facts.push_back(name);
  }
  return facts;
}

}  // namespace

std::vector<Origin> distinct_points(const std::vector<ResultFile>& files) {
  std::vector<Origin> points;
  std::unordered_set<std::uint64_t> known;
  for (std::size_t file = 0; file < files.size(); ++file) {
    const std::vector<std::uint64_t> hashes = files[file].point_hashes();
    for (std::uint64_t point = 0; point < hashes.size(); ++point) {
      if (known.insert(hashes[point]).second) points.push_back({file, point});
    }
  }
  return points;
}

FileSchema schema_of(const std::vector<ResultFile>& files, const std::vector<Origin>& origins) {
  const ResultFile& first = files.front();
  const auto points = std::make_shared<const Origins>(origins);
  std::vector<std::vector<std::uint64_t>> hashes;
  for (const ResultFile& file : files) hashes.push_back(file.point_hashes());

  FileSchema schema;
  schema.title = first.has_attribute("title") ? first.attribute("title") : "";
  schema.points = origins.size();
  schema.point_hash = [points, hashes](std::uint64_t point) {
    const Origin origin = (*points)[point];
    return hashes[origin.file][origin.point];
  };
  schema.coordinates = coordinates_of(files, points);
  schema.layers = layers_of(files, points);
  schema.columns = first.columns();
  schema.dimensions = dimensions_of(first);
  schema.numerics_identity = first.attribute(names::numerics_identity);
  schema.openblas_core = first.attribute(names::openblas_core);
  schema.attributes = attributes_of(first);
  schema.launch_facts = launch_facts_of(first);
  return schema;
}

}  // namespace gradflow::store
