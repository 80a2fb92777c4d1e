#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gradflow/experiment/prediction.hpp"
#include "gradflow/pipeline/stage.hpp"
#include "gradflow/stats/catalogue.hpp"
#include "gradflow/stats/layer_selection.hpp"
#include "gradflow/sweep/sweep.hpp"

namespace gradflow::experiment {

/// The stored layers of every depth that occurs in a bundle.
pipeline::Observation::Layers layers_by_depth(const stats::LayerSelection& selection,
                                              const nn::Bundle& bundle);

/// The columns of a result file and how a point's row is filled: statistics, the gradient of tied weights,
/// the Jacobian, effective initialisation, theory, run facts.
class Row {
 public:
  /// The selection of a sweep: `statistics.preset`, `also`, `loss_scale` and `layers`.
  explicit Row(const sweep::Sweep& sweep);

  const std::shared_ptr<const stats::Columns>& columns() const noexcept { return columns_; }
  /// Names of the columns that a network of the sweep has; the others are those of other networks.
  std::vector<std::string> columns_of(const nn::NetworkSpec& network) const;
  const stats::LayerSelection& selected_layers() const noexcept { return layers_; }
  int directions() const noexcept { return directions_; }  ///< of any point's Jacobian, at most
  double bytes_per_layer() const;                          ///< of a point's table
  stats::Needs needs() const { return stats::needed(selection_); }
  std::vector<int> layers(int depth) const { return layers_.select(depth); }

  /// What a stage has to measure of a bundle. It fills the statistics into tables that have room for the
  /// other columns, so that a point of any depth is held once.
  pipeline::Observation observation(const nn::Bundle& bundle) const;

  /// Adds to what a stage has measured of some layers what is known without measuring.
  void complete(stats::PointTable& rows, const nn::NetworkSpec& network, const Prediction& prediction) const;

  /// This stage's part of the row of one point: what it measured, completed.
  /// @param wall_seconds  from the end of the bundle before to the end of the point's own, over the points of
  ///                      the bundle, on this stage
  stats::PointTable table(const nn::NetworkSpec& network, pipeline::PointResult result,
                          const Prediction& prediction, double wall_seconds) const;

 private:
  void fill_initialisation(stats::PointTable& table, const nn::NetworkSpec& network,
                           const std::vector<int>& layers) const;

  stats::Selection selection_;
  int loss_scale_;  ///< log2
  stats::LayerSelection layers_;
  std::shared_ptr<const stats::Columns> columns_;
  std::optional<int> first_of_tied_;
  std::optional<int> first_of_jacobian_;
  int directions_ = 0;
  int first_of_initialisation_ = 0;
  int first_of_theory_ = 0;
  int first_of_run_facts_ = 0;
};

}  // namespace gradflow::experiment
