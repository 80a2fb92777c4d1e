#pragma once

#include <cstdint>
#include <memory>

#include "gradflow/nn/affine.hpp"
#include "gradflow/nn/block.hpp"

namespace gradflow::nn {

/// A fully connected layer: z = h W' + b, y = phi(z), for every point of a bundle at once.
///
/// The points share the unit matrix Z; W = scale * Z with a scale of each point, applied after the product,
/// so a point has the same bits alone and stacked. Preactivation z is Role::preact, y is Role::act, dE/dz is
/// Role::dgrad.
template <class Real>
class Dense final : public Block<Real> {
 public:
  static BlockParts parts(const NetworkSpec&) { return dense_parts(); }

  Dense(const Bundle& bundle, int layer);

  State<Real> forward(State<Real> x, const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                      Failures& failures) const override;
  State<Real> backward(State<Real> dy, Entry entry, const Stack& stack, Tape<Real>& tape,
                       Observer<Real>& observer, WeightGradient<Real>& gradient,
                       Failures& failures) const override;
  std::unique_ptr<WeightGradient<Real>> weight_gradient() const override;

 private:
  FailureCode finish_sample(int point, int row, std::int32_t input_exponent, Signal<Real>& z,
                            Signal<Real>& h) const;
  SlopeCounts preactivation_gradient(int point, int row, Entry entry, const Signal<Real>& z, Signal<Real>& dz,
                                     FailureCode& code) const;

  int layer_ = 0;
  Affine<Real> affine_;
  std::vector<Activation> activations_;  ///< one per point
};

}  // namespace gradflow::nn
