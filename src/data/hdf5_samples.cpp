#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "file_data_set.hpp"
#include "gradflow/core/errors.hpp"
#include "hdf5_access.hpp"

namespace gradflow::data {
namespace {

using hdf5::Dataset;
using hdf5::Shape;

/// Where samples stand in a file.
struct Place {
  std::filesystem::path file;
  std::string dataset;
};

void require_shape(const Place& place, const Shape& shape) {
  double values = 1;
  for (const hsize_t length : shape) values *= double(length);
  if (shape.empty() || values == 0) {
    throw UserError(fmt::format("{}: dataset \"{}\" has the shape [{}]; expected [sample][feature]",
                                place.file.string(), place.dataset, text_of(shape)));
  }
  if (values * sizeof(float) <= double(most_bytes)) return;
  throw UserError(fmt::format("{}: dataset \"{}\" has {:.0f} values; expected at most {}",
                              place.file.string(), place.dataset, values, most_bytes / sizeof(float)));
}

/// A piece of whole samples at a time, so that only the floats stay.
std::vector<float> read_floats(const Place& place, const Dataset& dataset) {
  const Shape& shape = dataset.shape();
  const std::size_t width = hdf5::size_of(shape) / shape.front();
  const hsize_t at_once = std::max<hsize_t>(1, (hsize_t(1) << 20) / width);
  std::vector<float> all;
  all.reserve(hdf5::size_of(shape));
  for (hsize_t first = 0; first < shape.front(); first += at_once) {
    hdf5::Slab slab = hdf5::whole(shape);
    slab.start.front() = first;
    slab.count.front() = std::min(at_once, shape.front() - first);
    for (const double value : dataset.read<double>(slab)) {
      all.push_back(float(value));
      if (std::isfinite(all.back())) continue;
      throw UserError(fmt::format("{}: dataset \"{}\" holds {} in sample {}; expected finite float32 numbers",
                                  place.file.string(), place.dataset, value, (all.size() - 1) / width));
    }
  }
  return all;
}

Values read_values(const Place& place) {
  Values values;
  with_hdf5(place.file, [&](const hdf5::File& file) {
    values = read_floats(place, open_numbers(place.file, file, place.dataset));
  });
  return values;
}

std::vector<int> read_labels(const Place& place) {
  std::vector<int> labels;
  with_hdf5(place.file, [&](const hdf5::File& file) {
    for (const double value : open_numbers(place.file, file, place.dataset).read<double>()) {
      if (value < 0 || value > std::numeric_limits<int>::max() || value != std::floor(value)) {
        throw UserError(fmt::format("{}: dataset \"{}\" holds the label {}; expected classes 0, 1, ...",
                                    place.file.string(), place.dataset, value));
      }
      labels.push_back(int(value));
    }
  });
  return labels;
}

void require_labels(const Place& place, const hdf5::File& file, std::int64_t samples) {
  const Shape shape = open_numbers(place.file, file, place.dataset).shape();
  if (!shape.empty() && std::int64_t(shape.front()) == samples &&
      std::int64_t(hdf5::size_of(shape)) == samples)
    return;
  throw UserError(
      fmt::format("{}: dataset \"{}\" has the shape [{}]; expected one label for each of the {} samples",
                  place.file.string(), place.dataset, text_of(shape), samples));
}

}  // namespace

std::shared_ptr<const nn::DataSet> open_hdf5(const std::filesystem::path& path, const std::string& dataset,
                                             const std::string& labels, Standardization wanted) {
  const Place values{path, dataset};
  const Place classes{path, labels};
  Contents contents;
  with_hdf5(path, [&](const hdf5::File& file) {
    const Shape shape = open_numbers(path, file, dataset).shape();
    require_shape(values, shape);
    contents.size = std::int64_t(shape.front());
    contents.width = int(hdf5::size_of(shape) / shape.front());
    if (!labels.empty()) require_labels(classes, file, contents.size);
  });
  contents.value_bytes = sizeof(float);
  contents.read_values = [values] { return read_values(values); };
  if (!labels.empty()) contents.read_labels = [classes] { return read_labels(classes); };
  return std::make_shared<FileDataSet>(std::move(contents), wanted);
}

}  // namespace gradflow::data
