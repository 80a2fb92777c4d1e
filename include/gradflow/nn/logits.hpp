#pragma once

#include "gradflow/nn/block.hpp"

namespace gradflow::nn {

/// The forward pass of the last block of a bundle's networks.
/// @return the signal their loss is a function of: the block's output, or for a loss on logits the last
/// preactivation it shows to its observer (the output, if it shows none)
template <class Real>
State<Real> forward_into_loss(const Bundle& bundle, const Block<Real>& last, State<Real> x,
                              const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                              Failures& failures);

}  // namespace gradflow::nn
