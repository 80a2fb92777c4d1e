#include <fmt/format.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/data/weights_file.hpp"
#include "gradflow/hdf5/attribute.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/group.hpp"
#include "gradflow/nn/block.hpp"
#include "unit_number.hpp"
#include "write_point.hpp"

namespace gradflow::data {
namespace {

/// Values of a matrix without its padding, times a factor, rounded to double.
template <class Real>
std::vector<double> scaled_values(const Matrix<Real>& unit, int rows, int columns, double factor) {
  std::vector<double> values;
  values.reserve(std::size_t(rows) * std::size_t(columns));
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) values.push_back(factor * double(unit(i, j)));
  }
  return values;
}

/// Whether the reader finds the unit numbers by the scale.
template <class Real>
bool scale_gives_back(const Matrix<Real>& unit, int rows, int columns, double scale) {
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      if (Real(unit_number(scale * double(unit(i, j)), scale)) != unit(i, j)) return false;
    }
  }
  return true;
}

template <class Real>
void write_scaled(const hdf5::File& file, const std::string& name, const Matrix<Real>& unit,
                  const hdf5::Shape& shape, double scale) {
  const int rows = shape.size() == 1 ? 1 : int(shape.front());
  const int columns = int(shape.back());
  hdf5::Dataset dataset = hdf5::Dataset::create<double>(file, name, shape, hdf5::Space::unfilled);
  dataset.write<double>(hdf5::whole(shape), scaled_values(unit, rows, columns, scale));
  if (scale > 0) hdf5::write_attribute(dataset.get(), "scale", scale);
  dataset.close();
}

template <class Real>
void write_matrix(const hdf5::File& file, const nn::NetworkSpec& network, int layer, WeightRole role) {
  const nn::MatrixShape matrix = nn::shape_of(network, layer, role);
  const std::string name = fmt::format("layer_{}/{}", layer, prefix_of(role));
  const hdf5::Shape shape{hsize_t(matrix.fan_out), hsize_t(matrix.fan_in)};
  const Matrix<Real> unit = nn::unit_weights<Real>(network, layer, role);
  const double scale = nn::weight_scale(network, layer, role);
  write_scaled(file, name + "weight", unit, shape, scale);
  if (scale > 0 && !scale_gives_back(unit, matrix.fan_out, matrix.fan_in, scale)) {
    write_numbers(file, name + "unit_weight", shape, scaled_values(unit, matrix.fan_out, matrix.fan_in, 1));
  }
  const double bias_scale = nn::bias_scale(network, layer, role);
  if (!(bias_scale > 0)) return;
  write_scaled(file, name + "bias", nn::unit_bias<Real>(network, layer, role), {hsize_t(matrix.fan_out)},
               bias_scale);
}

template <class Real>
void write_all(const hdf5::File& file, const nn::NetworkSpec& described, Exported contents) {
  const nn::NetworkSpec network = nn::with_found_scales<Real>(described);
  for (int layer = 1; layer <= nn::weight_layers(network); ++layer) {
    hdf5::create_group(file, fmt::format("layer_{}", layer));
    for (const WeightRole role : nn::parts_of(network).matrices) {
      write_matrix<Real>(file, network, layer, role);
    }
  }
  if (contents == Exported::weights_and_data) write_point<Real>(file, network);
}

}  // namespace

template <class Real>
void write_weights(const std::filesystem::path& path, const nn::NetworkSpec& network, Exported contents) {
  if (std::filesystem::exists(path)) {
    throw UserError(path.string() + ": exists already; write the weights elsewhere, or remove it");
  }
  std::filesystem::path unfinished = path;
  unfinished += ".part";
  std::filesystem::remove(unfinished);
  try {
    hdf5::File file = hdf5::File::create(unfinished);
    write_all<Real>(file, network, contents);
    file.close();
    std::filesystem::rename(unfinished, path);
  } catch (const Error& error) {
    std::error_code ignored;
    std::filesystem::remove(unfinished, ignored);
    throw UserError(fmt::format("{}: cannot be written: {}", path.string(), error.what()));
  }
}

template void write_weights<float>(const std::filesystem::path&, const nn::NetworkSpec&, Exported);
template void write_weights<double>(const std::filesystem::path&, const nn::NetworkSpec&, Exported);

}  // namespace gradflow::data
