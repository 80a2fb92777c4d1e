#include "gradflow/pipeline/observation.hpp"

#include <algorithm>
#include <utility>

namespace gradflow::pipeline {

Observation::Observation(Layers observed, stats::Selection chosen)
    : layers(std::move(observed)),
      selection(std::move(chosen)),
      columns(std::make_shared<const stats::Columns>(stats::columns_of(selection))) {}

const std::vector<int>& Observation::layers_of(const nn::NetworkSpec& network) const {
  static const std::vector<int> none;
  const auto found = layers.find(network.depth());
  return found == layers.end() ? none : found->second;
}

std::optional<int> Observation::row_of(const nn::NetworkSpec& network, int layer) const {
  const std::vector<int>& stored = layers_of(network);
  const auto row = std::ranges::lower_bound(stored, layer);
  if (row == stored.end() || *row != layer) return {};
  return int(row - stored.begin());
}

std::vector<bool> observed_blocks(const Observation::Layers& layers, BlockRange blocks) {
  std::vector<bool> observed(std::size_t(blocks.size()), false);
  for (const auto& of_depth : layers) {
    for (const int layer : of_depth.second) {
      if (blocks.contains(layer - 1)) observed[std::size_t(layer - 1 - blocks.first)] = true;
    }
  }
  return observed;
}

}  // namespace gradflow::pipeline
