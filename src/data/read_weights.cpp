#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/data/weights_file.hpp"
#include "gradflow/hdf5/attribute.hpp"
#include "hdf5_access.hpp"
#include "weight_layout.hpp"

namespace gradflow::data {
namespace {

constexpr hsize_t most_units = std::numeric_limits<int>::max();

/// What is known of a layer without its weights.
struct Layer {
  LayerPlace place;
  int fan_in = 0;
  int fan_out = 0;
  double weight_scale = 1;
  double bias_scale = 0;
};

double scale_of(const hdf5::Dataset& dataset) {
  if (!hdf5::has_attribute(dataset.get(), "scale")) return 1;
  const double scale = hdf5::read_number_attribute<double>(dataset.get(), "scale");
  if (std::isfinite(scale) && scale > 0) return scale;
  throw UserError(
      fmt::format("attribute scale of {} is {}; expected a positive number", dataset.name(), scale));
}

/// u with scale * u = x: the float32 number that has been multiplied, if there was one.
double unit_number(double x, double scale) {
  const double rounded = float(x / scale);
  return rounded * scale == x ? rounded : x / scale;
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
  int fan_in(int layer) const override { return at(layer).fan_in; }
  int fan_out(int layer) const override { return at(layer).fan_out; }
  double weight_scale(int layer) const override { return at(layer).weight_scale; }
  double bias_scale(int layer) const override { return at(layer).bias_scale; }

  Matrix<double> unit_weights(int layer) const override {
    const Layer& known = at(layer);
    const std::vector<double> numbers = numbers_of(known.place.weight, known.weight_scale);
    Matrix<double> unit = Matrix<double>::unset(known.fan_out, known.fan_in);
    for (int i = 0; i < known.fan_out; ++i) {
      for (int j = 0; j < known.fan_in; ++j) {
        unit(i, j) = numbers[known.place.transposed ? std::size_t(j) * std::size_t(known.fan_out) + i
                                                    : std::size_t(i) * std::size_t(known.fan_in) + j];
      }
    }
    return unit;
  }

  std::vector<double> unit_bias(int layer) const override {
    return numbers_of(at(layer).place.bias, at(layer).bias_scale);
  }

 private:
  const Layer& at(int layer) const {
    expect(1 <= layer && layer <= layers(), "a layer of the file");
    return layers_[std::size_t(layer - 1)];
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

  void append(const hdf5::File& file, const LayerPlace& place) {
    const hdf5::Dataset weight = open_numbers(path_, file, place.weight);
    const hdf5::Shape& shape = weight.shape();
    if (shape.size() != 2 || hdf5::size_of(shape) == 0 || shape[0] > most_units || shape[1] > most_units) {
      throw UserError(fmt::format("{} has the shape [{}]; expected {}", place.weight, text_of(shape),
                                  place.transposed ? "[fan_in][fan_out]" : "[fan_out][fan_in]"));
    }
    Layer layer{place, int(shape[place.transposed ? 0 : 1]), int(shape[place.transposed ? 1 : 0]),
                scale_of(weight), 0};
    if (!layers_.empty() && layer.fan_in != layers_.back().fan_out) {
      throw UserError(fmt::format("{} has the shape [{}], so {} inputs, but the layer before has {} units",
                                  place.weight, text_of(shape), layer.fan_in, layers_.back().fan_out));
    }
    if (!place.bias.empty()) layer.bias_scale = bias_scale_of(file, layer);
    layers_.push_back(layer);
  }

  /// A bias of zeros is none: added, it would drown tiny preactivations.
  double bias_scale_of(const hdf5::File& file, const Layer& layer) const {
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
