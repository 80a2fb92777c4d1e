#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "gradflow/nn/network.hpp"
#include "gradflow/pipeline/partition.hpp"
#include "gradflow/stats/catalogue.hpp"

namespace gradflow::pipeline {

/// What is measured: which layers of a point, and what of each.
struct Observation {
  /// The observed layers of a network by its depth, ascending from 1.
  using Layers = std::map<int, std::vector<int>>;

  /// Nothing of no layer.
  Observation() : columns(std::make_shared<const stats::Columns>()) {}
  /// The statistics of `chosen` and no other column.
  Observation(Layers observed, stats::Selection chosen);

  /// None of a depth that is not mentioned.
  const std::vector<int>& layers_of(const nn::NetworkSpec& network) const;

  /// Where a layer stands in the network's table; nothing if only other networks store it.
  std::optional<int> row_of(const nn::NetworkSpec& network, int layer) const;

  Layers layers;
  stats::Selection selection;
  int loss_scale = 0;                             ///< log2, of the loss-scaled statistics
  std::shared_ptr<const stats::Columns> columns;  ///< of the rows; the first are those of the selection
};

/// For each of the blocks, whether a network of some depth stores its layer.
std::vector<bool> observed_blocks(const Observation::Layers& layers, BlockRange blocks);

}  // namespace gradflow::pipeline
