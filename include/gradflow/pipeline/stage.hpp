#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "gradflow/nn/block.hpp"
#include "gradflow/pipeline/partition.hpp"
#include "gradflow/stats/catalogue.hpp"

namespace gradflow::pipeline {

/// What a stage has measured of one point when the last microbatch has come back.
struct PointResult {
  Failure failure;                         ///< of the whole network, as far as this stage has heard
  std::vector<stats::LayerRecord> layers;  ///< the observed layers of this stage, ascending
};

/// What is measured: which layers (ascending, from 1) and what of each.
struct Observation {
  std::vector<int> layers;
  stats::Needs needs;
};

/// Called between two blocks, so that messages move while a stage computes.
using Breather = std::function<void()>;

/// When weight gradients are added up.
enum class WeightPasses : std::uint8_t {
  at_once,   ///< in the backward pass, layer by layer, while the signals are in cache
  deferred,  ///< in a pass of their own: the stage upstream gets its gradient earlier
};

/// This rank's blocks of one bundle: weights, the tapes of the microbatches in flight, and the summaries.
///
/// Microbatches go forward in ascending order and come back in ascending order.
template <class Real>
class Stage {
 public:
  /// Generates the weights of the stage's blocks.
  Stage(const nn::Bundle& bundle, BlockRange blocks, int microbatches, const Observation& observation,
        Breather breathe, WeightPasses weight_passes = WeightPasses::at_once);

  /// @param x  what the block before the stage's first one sent (or the data)
  /// @return   the output of the stage's last block
  State<Real> forward(int microbatch, State<Real> x);

  /// @param dy  gradient of what forward() returned, or of the last preactivation, as `entry` says
  /// @return    gradient of x; empty if the stage holds the network's first block
  State<Real> backward(int microbatch, State<Real> dy, nn::Entry entry);

  /// What backward() put off: adds up the weight gradients of one microbatch. Nothing if they are added at
  /// once. @pre called in ascending order, each after its backward()
  void add_weight_gradients(int microbatch);

  /// Failures of every point known here; those of other stages arrive with their messages.
  const nn::Failures& failures() const noexcept { return failures_; }
  void learn(const nn::Failures& of_other_stages);

  const nn::Bundle& bundle() const noexcept { return bundle_; }
  Stack rows(int microbatch) const { return nn::microbatch_rows(bundle_, microbatch, microbatches_); }

  /// One entry per point of the bundle. @pre every microbatch has come back, its weight gradients are added
  std::vector<PointResult> results() &&;

 private:
  struct Layer {
    std::unique_ptr<nn::Block<Real>> block;
    bool observed = false;
    std::vector<stats::LayerRecord> records;  ///< one per point, if observed
    std::unique_ptr<nn::Observer<Real>> observer;
    std::unique_ptr<nn::WeightGradient<Real>> gradient;
  };

  /// The input of a block and the gradient of its preactivation, kept until they are multiplied.
  struct Factors final : nn::WeightGradient<Real> {
    void add(Signal<Real> input, Signal<Real> preact_gradient, const Stack& stack) override;
    std::vector<nn::WeightGradientNorms> norms() const override { return {}; }

    Signal<Real> x;
    Signal<Real> dz;
  };

  void weight_gradient_is_added(Layer& layer, int microbatch);
  void finish_weight_gradients(std::size_t most_waiting);

  nn::Bundle bundle_;
  std::size_t first_layer_;
  int microbatches_;
  Breather breathe_;
  WeightPasses weight_passes_;
  nn::Failures failures_;
  std::vector<Layer> layers_;
  std::vector<std::vector<nn::Tape<Real>>> tapes_;  ///< [microbatch][block]
  std::vector<std::vector<Factors>> deferred_;      ///< [microbatch][block], empty for blocks not observed
  std::vector<Layer*> waiting_;  ///< whole weight gradients whose norms are still to be taken
};

}  // namespace gradflow::pipeline
