#pragma once

#include "gradflow/nn/block.hpp"

namespace gradflow::nn {

/// The forward pass of layer `layer`, the last of networks that share a bundle with `network`.
/// @return the signal their loss is a function of, where its cotangent enters: the block's output, or for a
/// loss on logits of a block it enters past the activation (dense) the last preactivation
template <class Real>
State<Real> forward_into_loss(const NetworkSpec& network, int layer, const Block<Real>& last, State<Real> x,
                              const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                              Failures& failures);

}  // namespace gradflow::nn
