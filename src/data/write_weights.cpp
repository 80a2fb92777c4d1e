#include <fmt/format.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/data/weights_file.hpp"
#include "gradflow/hdf5/attribute.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/group.hpp"

namespace gradflow::data {
namespace {

/// scale * unit number, rounded to double.
template <class Real>
void write_scaled(const hdf5::File& file, const std::string& name, const Matrix<Real>& unit, int rows,
                  int columns, const hdf5::Shape& shape, double scale) {
  std::vector<double> values;
  values.reserve(std::size_t(rows) * std::size_t(columns));
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) values.push_back(scale * double(unit(i, j)));
  }
  hdf5::Dataset dataset = hdf5::Dataset::create<double>(file, name, shape, hdf5::Space::unfilled);
  dataset.write<double>(hdf5::whole(shape), values);
  if (scale > 0) hdf5::write_attribute(dataset.get(), "scale", scale);
  dataset.close();
}

template <class Real>
void write_layer(const hdf5::File& file, const nn::NetworkSpec& network, int layer) {
  const int fan_in = network.widths.fan_in(layer);
  const int fan_out = network.widths.fan_out(layer);
  const std::string group = fmt::format("layer_{}", layer);
  hdf5::create_group(file, group);
  write_scaled(file, group + "/weight", nn::unit_weights<Real>(network, layer), fan_out, fan_in,
               {hsize_t(fan_out), hsize_t(fan_in)}, nn::weight_scale(network, layer));
  const double bias_scale = nn::bias_scale(network, layer);
  if (!(bias_scale > 0)) return;
  write_scaled(file, group + "/bias", nn::unit_bias<Real>(network, layer), 1, fan_out, {hsize_t(fan_out)},
               bias_scale);
}

}  // namespace

template <class Real>
void write_weights(const std::filesystem::path& path, const nn::NetworkSpec& network) {
  if (std::filesystem::exists(path)) {
    throw UserError(path.string() + ": exists already; write the weights elsewhere, or remove it");
  }
  std::filesystem::path unfinished = path;
  unfinished += ".part";
  std::filesystem::remove(unfinished);
  try {
    hdf5::File file = hdf5::File::create(unfinished);
    for (int layer = 1; layer <= network.depth(); ++layer) write_layer<Real>(file, network, layer);
    file.close();
    std::filesystem::rename(unfinished, path);
  } catch (const Error& error) {
    std::error_code ignored;
    std::filesystem::remove(unfinished, ignored);
    throw UserError(fmt::format("{}: cannot be written: {}", path.string(), error.what()));
  }
}

template void write_weights<float>(const std::filesystem::path&, const nn::NetworkSpec&);
template void write_weights<double>(const std::filesystem::path&, const nn::NetworkSpec&);

}  // namespace gradflow::data
