#pragma once

#include <memory>
#include <vector>

#include "layer_observer.hpp"
#include "weight_gradients.hpp"

namespace gradflow::pipeline {

/// What is measured of one layer while its microbatches pass: one record and one gradient sum per point.
template <class Real>
struct LayerMeasurement {
  LayerMeasurement(const stats::Needs& needs, int loss_scale, std::size_t points,
                   const nn::Block<Real>& block)
      : records(points), observer(needs, loss_scale, records) {
    gradient = needs.gradients ? block.weight_gradient() : std::make_unique<NoWeightGradient<Real>>();
  }

  /// Enters the norms of the whole weight gradients and of the normalisations' into the records, one per
  /// point that has the layer. @param matrices  of the block @pre every microbatch has been added
  void take_gradient_norms(const nn::Bundle& bundle, int layer, const std::vector<WeightRole>& matrices);

  std::vector<stats::LayerRecord> records;
  LayerObserver<Real> observer;
  std::unique_ptr<nn::WeightGradient<Real>> gradient;
};

}  // namespace gradflow::pipeline
