#pragma once

#include <string>
#include <vector>

#include "gradflow/mpi/communicator.hpp"
#include "gradflow/nn/network.hpp"
#include "gradflow/pipeline/stage.hpp"

namespace gradflow::bench {

/// Equal networks that differ in sigma_w only, so that they may share a bundle.
struct Workload {
  int width = 0;
  int batch = 0;
  int depth = 0;
  int points = 1;
  std::string activation = "tanh";
  std::string scheme = "gaussian";

  std::string name() const;

  /// All points in bundles of at most `bundle` points.
  std::vector<nn::Bundle> bundles_of(int bundle) const;

  /// 6 N^2 B L of every point: three products per layer.
  double nominal_operations() const;

  /// What the engine executes: no gradient of the data, weight gradients explicit or from Gram matrices.
  double executed_operations() const;
};

/// Every layer, with what this preset needs; "gradients": weight gradients and their norms, nothing else.
pipeline::Observation observation_of(const std::string& preset, int depth);

/// Seconds to run the bundles through the executor, statistics of the standard preset included. All ranks of
/// `group` are stages of one pipeline. @collective
double run(const mpi::Communicator& group, const std::vector<nn::Bundle>& bundles, int microbatches = 1);

}  // namespace gradflow::bench
