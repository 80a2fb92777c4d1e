#pragma once

#include <vector>

#include "gradflow/nn/block.hpp"
#include "gradflow/nn/weight_gradient.hpp"

namespace gradflow::nn {

/// The gradient of a first matrix that all steps of a level share, as one running sum from the last step to
/// the first.
///
/// It travels upstream beside the cotangent, exponents and all, so its bits do not depend on where the
/// network is cut. Tiles of samples are added one after the other, as in DenseGradient.
template <class Real>
class TiedGradient {
 public:
  /// An empty sum for every point. @pre the blocks of the bundle share their weights
  explicit TiedGradient(const Bundle& bundle);

  /// Adds the contribution of one block: see WeightGradient::add.
  void add(const Signal<Real>& input, const Signal<Real>& product_gradient, const Stack& stack);

  /// |mean over samples of dE/dW|_F^2 of every point.
  std::vector<Scaled> squared() const;

  /// The sum as a signal, the matrices of the points one below the other; and back, to the last bit.
  Signal<Real> packed() const;
  void unpack(const Signal<Real>& sum);
  static SignalShape packed_shape(const Bundle& bundle);

 private:
  std::vector<int> batches_;  ///< of the points
  int fan_in_;
  int fan_out_;
  std::vector<ScaledMatrix<Real>> sums_;
};

}  // namespace gradflow::nn
