#include "weight_layout.hpp"

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/hdf5/attribute.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/group.hpp"

namespace gradflow::data {
namespace {

/// layer_1/weight, layer_1/bias, layer_2/weight, ...
std::vector<LayerPlace> numbered_layers(const hdf5::File& file) {
  std::vector<LayerPlace> layers;
  for (int layer = 1; file.has(fmt::format("layer_{}/weight", layer)); ++layer) {
    const std::string bias = fmt::format("layer_{}/bias", layer);
    layers.push_back({fmt::format("layer_{}/weight", layer), file.has(bias) ? bias : "", false});
  }
  return layers;
}

/// The last part of a name that Keras gives: kernel of "dense_1/kernel:0".
std::string kind_of_weight(const std::string& name) {
  const std::string last = name.substr(name.rfind('/') + 1);
  return last.substr(0, last.find(':'));
}

/// Layers without weights (activations, dropout) have none of these names.
LayerPlace keras_layer(const std::string& path, const hdf5::File& file, const std::string& group) {
  const hdf5::GroupHandle handle = hdf5::open_group(file, group);
  LayerPlace layer{"", "", true};
  for (const std::string& name : hdf5::read_texts_attribute(handle.get(), "weight_names")) {
    const std::string kind = kind_of_weight(name);
    if (kind == "kernel") {
      layer.weight = group + '/' + name;
    } else if (kind == "bias") {
      layer.bias = group + '/' + name;
    } else {
      throw UserError(
          fmt::format("{}: layer \"{}\" has a weight \"{}\"; expected dense layers, with kernel "
                      "and bias",
                      path, group, name));
    }
  }
  return layer;
}

/// @param root  the group that holds the layers: "/" or "/model_weights"
std::vector<LayerPlace> keras_layers(const std::string& path, const hdf5::File& file,
                                     const std::string& root) {
  const hdf5::GroupHandle group = hdf5::open_group(file, root);
  if (!hdf5::has_attribute(group.get(), "layer_names")) return {};
  std::vector<LayerPlace> layers;
  for (const std::string& name : hdf5::read_texts_attribute(group.get(), "layer_names")) {
    const LayerPlace layer = keras_layer(path, file, (root == "/" ? "" : root.substr(1) + '/') + name);
    if (!layer.weight.empty()) layers.push_back(layer);
  }
  return layers;
}

}  // namespace

std::vector<LayerPlace> layers_in(const std::filesystem::path& path, const hdf5::File& file) {
  std::vector<LayerPlace> layers = numbered_layers(file);
  if (layers.empty()) layers = keras_layers(path.string(), file, "/");
  if (layers.empty() && file.has("model_weights"))
    layers = keras_layers(path.string(), file, "/model_weights");
  if (!layers.empty()) return layers;
  throw UserError(fmt::format(
      "{}: holds no weights; expected layer_1/weight [fan_out][fan_in], layer_1/bias, layer_2/weight, ... or "
      "what Keras saves as HDF5 (the attribute layer_names)",
      path.string()));
}

}  // namespace gradflow::data
