#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/data/weights_file.hpp"
#include "gradflow/hdf5/attribute.hpp"
#include "hdf5_access.hpp"
#include "unit_number.hpp"
#include "weight_layout.hpp"

namespace gradflow::data {
namespace {

constexpr hsize_t most_units = std::numeric_limits<int>::max();

/// What is known of a matrix without its numbers.
struct Known {
  MatrixPlace place;
  int fan_in = 0;
  int fan_out = 0;
  double weight_scale = 1;
  double bias_scale = 0;
};
using Layer = std::map<WeightRole, Known>;

double scale_of(const hdf5::Dataset& dataset) {
  if (!hdf5::has_attribute(dataset.get(), "scale")) return 1;
  const double scale = hdf5::read_number_attribute<double>(dataset.get(), "scale");
  if (std::isfinite(scale) && scale > 0) return scale;
  throw UserError(
      fmt::format("attribute scale of {} is {}; expected a positive number", dataset.name(), scale));
}

/// Numbers divided by the scale they were made with. @throws UserError if one is not finite
std::vector<double> unit_numbers(const hdf5::Dataset& dataset, double scale) {
  std::vector<double> numbers = dataset.read<double>();
  for (double& x : numbers) {
    if (!std::isfinite(x))
      throw UserError(fmt::format("{} holds {}; expected finite numbers", dataset.name(), x));
    x = unit_number(x, scale);
  }
  return numbers;
}

class WeightsFile final : public nn::StoredWeights {
 public:
  explicit WeightsFile(std::filesystem::path path) : path_(std::move(path)) {
    read([&](const hdf5::File& file) {
      for (const LayerPlace& place : layers_in(path_, file)) append(file, place);
    });
  }

  int layers() const override { return int(layers_.size()); }
  bool has(int layer, WeightRole role) const override { return at(layer).contains(role); }
  int fan_in(int layer, WeightRole role) const override { return at(layer, role).fan_in; }
  int fan_out(int layer, WeightRole role) const override { return at(layer, role).fan_out; }
  double weight_scale(int layer, WeightRole role) const override { return at(layer, role).weight_scale; }
  double bias_scale(int layer, WeightRole role) const override { return at(layer, role).bias_scale; }

  Matrix<double> unit_weights(int layer, WeightRole role) const override {
    const Known& known = at(layer, role);
    const std::vector<double> numbers = unit_weights_of(known);
    Matrix<double> unit = Matrix<double>::unset(known.fan_out, known.fan_in);
    for (int i = 0; i < known.fan_out; ++i) {
      for (int j = 0; j < known.fan_in; ++j) {
        unit(i, j) = numbers[known.place.transposed ? std::size_t(j) * std::size_t(known.fan_out) + i
                                                    : std::size_t(i) * std::size_t(known.fan_in) + j];
      }
    }
    return unit;
  }

  std::vector<double> unit_bias(int layer, WeightRole role) const override {
    return numbers_of(at(layer, role).place.bias, at(layer, role).bias_scale);
  }

 private:
  const Layer& at(int layer) const {
    expect(1 <= layer && layer <= layers(), "a layer of the file");
    return layers_[std::size_t(layer - 1)];
  }
  const Known& at(int layer, WeightRole role) const {
    expect(at(layer).contains(role), "a matrix of the file");
    return at(layer).at(role);
  }

  /// A mistake found inside is told with the file.
  template <class Act>
  void read(Act act) const {
    with_hdf5(path_, [&](const hdf5::File& file) {
      try {
        act(file);
      } catch (const UserError& mistake) {
        const std::string text = mistake.what();
        throw text.starts_with(path_.string()) ? mistake : UserError(path_.string() + ": " + text);
      }
    });
  }

  std::vector<double> numbers_of(const std::string& dataset, double scale) const {
    std::vector<double> numbers;
    read([&](const hdf5::File& file) { numbers = unit_numbers(open_numbers(path_, file, dataset), scale); });
    return numbers;
  }

  /// Z itself where the file has it, otherwise what the scale gives back.
  std::vector<double> unit_weights_of(const Known& known) const {
    return known.place.unit_weight.empty() ? numbers_of(known.place.weight, known.weight_scale)
                                           : numbers_of(known.place.unit_weight, 1);
  }

  void append(const hdf5::File& file, const LayerPlace& place) {
    Layer layer;
    for (const auto& [role, matrix] : place) layer.emplace(role, known(file, matrix));
    const Known& first = layer.at(WeightRole::first);
    if (!layers_.empty() && first.fan_in != layers_.back().at(WeightRole::first).fan_out) {
      throw UserError(fmt::format("{} has the shape [{}], so {} inputs, but the layer before has {} units",
                                  first.place.weight,
                                  text_of(hdf5::Dataset::open(file, first.place.weight).shape()),
                                  first.fan_in, layers_.back().at(WeightRole::first).fan_out));
    }
    layers_.push_back(std::move(layer));
  }

  Known known(const hdf5::File& file, const MatrixPlace& place) const {
    const hdf5::Dataset weight = open_numbers(path_, file, place.weight);
    const hdf5::Shape& shape = weight.shape();
    if (shape.size() != 2 || hdf5::size_of(shape) == 0 || shape[0] > most_units || shape[1] > most_units) {
      throw UserError(fmt::format("{} has the shape [{}]; expected {}", place.weight, text_of(shape),
                                  place.transposed ? "[fan_in][fan_out]" : "[fan_out][fan_in]"));
    }
    Known matrix{place, int(shape[place.transposed ? 0 : 1]), int(shape[place.transposed ? 1 : 0]),
                 scale_of(weight), 0};
    if (!place.unit_weight.empty()) require_unit_weights(file, matrix);
    if (!place.bias.empty()) matrix.bias_scale = bias_scale_of(file, matrix);
    return matrix;
  }

  void require_unit_weights(const hdf5::File& file, const Known& known) const {
    const hdf5::Dataset weight = hdf5::Dataset::open(file, known.place.weight);
    const hdf5::Dataset unit = open_numbers(path_, file, known.place.unit_weight);
    const auto is_product = [&](double w, double z) { return w == known.weight_scale * z; };
    if (unit.shape() == weight.shape() &&
        std::ranges::equal(weight.read<double>(), unit.read<double>(), is_product)) {
      return;
    }
    throw UserError(
        fmt::format("{} is not the attribute scale times {}; remove the latter if the weights "
                    "were changed",
                    weight.name(), unit.name()));
  }

  /// A bias of zeros is none: added, it would drown tiny preactivations.
  double bias_scale_of(const hdf5::File& file, const Known& layer) const {
    const hdf5::Dataset bias = open_numbers(path_, file, layer.place.bias);
    if (bias.shape() != hdf5::Shape{hsize_t(layer.fan_out)}) {
      throw UserError(fmt::format("{} has the shape [{}], but {} has {} units", layer.place.bias,
                                  text_of(bias.shape()), layer.place.weight, layer.fan_out));
    }
    const std::vector<double> numbers = unit_numbers(bias, 1);
    const bool is_zero = std::ranges::all_of(numbers, [](double b) { return b == 0; });
    return is_zero ? 0 : scale_of(bias);
  }

  std::filesystem::path path_;
  std::vector<Layer> layers_;
};

}  // namespace

std::shared_ptr<const nn::StoredWeights> open_weights(const std::filesystem::path& file) {
  return std::make_shared<WeightsFile>(file);
}

}  // namespace gradflow::data
