#include "weight_layout.hpp"

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/hdf5/attribute.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/group.hpp"

namespace gradflow::data {
namespace {

std::string if_there(const hdf5::File& file, const std::string& name) {
  return file.has(name) ? name : std::string();
}

LayerPlace numbered_layer(const hdf5::File& file, int layer) {
  LayerPlace place;
  for (const WeightRole role :
       {WeightRole::first, WeightRole::second, WeightRole::input, WeightRole::transform}) {
    const std::string name = fmt::format("layer_{}/{}", layer, prefix_of(role));
    if (!file.has(name + "weight")) continue;
    place[role] = {name + "weight", if_there(file, name + "bias"), if_there(file, name + "unit_weight")};
  }
  return place;
}

/// layer_1/weight, layer_1/bias, layer_2/weight, ... with further matrices under the prefixes of their roles.
std::vector<LayerPlace> numbered_layers(const hdf5::File& file) {
  std::vector<LayerPlace> layers;
  for (int layer = 1; file.has(fmt::format("layer_{}/weight", layer)); ++layer) {
    layers.push_back(numbered_layer(file, layer));
  }
  return layers;
}

/// The last part of a name that Keras gives: kernel of "dense_1/kernel:0".
std::string kind_of_weight(const std::string& name) {
  const std::string last = name.substr(name.rfind('/') + 1);
  return last.substr(0, last.find(':'));
}

/// Layers without weights (activations, dropout) have none of these names.
MatrixPlace keras_layer(const std::string& path, const hdf5::File& file, const std::string& group) {
  const hdf5::GroupHandle handle = hdf5::open_group(file, group);
  MatrixPlace layer{.weight = "", .bias = "", .unit_weight = "", .transposed = true};
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
    const MatrixPlace layer = keras_layer(path, file, (root == "/" ? "" : root.substr(1) + '/') + name);
    if (!layer.weight.empty()) layers.push_back({{WeightRole::first, layer}});
  }
  return layers;
}

/// The n of "dense_n", by which Keras 3 counts the layers of a class in their order; 0 for "dense", none for
/// another class.
std::optional<int> number_of_dense(const std::string& name) {
  constexpr std::string_view dense = "dense";
  if (!name.starts_with(dense)) return std::nullopt;
  if (name == dense) return 0;
  const char* end = name.data() + name.size();
  int number = 0;
  const auto [read_to, error] = std::from_chars(name.data() + dense.size() + 1, end, number);
  const bool is_number = name[dense.size()] == '_' && error == std::errc() && read_to == end;
  return is_number ? std::optional(number) : std::nullopt;
}

/// What Keras 3 saves as .weights.h5: ROOT/dense_n/vars/0 is the kernel, 1 the bias. Layers without weights
/// have empty vars.
/// @param root  "layers", or the name that Keras 2.13 had for it
std::vector<LayerPlace> keras3_layers(const std::string& path, const hdf5::File& file,
                                      const std::string& root) {
  std::map<int, LayerPlace> layers;
  for (const std::string& name : hdf5::names_in(file, root)) {
    const std::string vars = fmt::format("{}/{}/vars", root, name);
    if (!file.has(vars) || hdf5::names_in(file, vars).empty()) continue;
    const std::optional<int> number = number_of_dense(name);
    if (!number || !file.has(vars + "/0") || file.has(vars + "/2")) {
      throw UserError(
          fmt::format("{}: layer \"{}\" has weights ({}); expected dense layers only, with kernel "
                      "and bias",
                      path, name, fmt::join(hdf5::names_in(file, vars), " ")));
    }
    layers[*number][WeightRole::first] = {vars + "/0", if_there(file, vars + "/1"), "", true};
  }
  std::vector<LayerPlace> in_order;
  for (const auto& [number, layer] : layers) in_order.push_back(layer);
  return in_order;
}

}  // namespace

std::vector<LayerPlace> layers_in(const std::filesystem::path& path, const hdf5::File& file) {
  std::vector<LayerPlace> layers = numbered_layers(file);
  if (layers.empty()) layers = keras_layers(path.string(), file, "/");
  if (layers.empty() && file.has("model_weights"))
    layers = keras_layers(path.string(), file, "/model_weights");
  for (const std::string root : {"layers", "_layer_checkpoint_dependencies"}) {
    if (layers.empty() && file.has(root)) layers = keras3_layers(path.string(), file, root);
  }
  if (!layers.empty()) return layers;
  throw UserError(fmt::format(
      "{}: holds no weights; expected layer_1/weight [fan_out][fan_in], layer_1/bias, layer_2/weight, ... or "
      "what Keras saves as HDF5 (the attribute layer_names, or layers/dense/vars/0)",
      path.string()));
}

}  // namespace gradflow::data
