#pragma once

#include <memory>

#include "gradflow/nn/block.hpp"

namespace gradflow::nn {

/// y = t * phi(W x + b) + (1 - t) * x with the transform gate t = sigmoid(W_t x + transform_bias)
/// (Srivastava, Greff and Schmidhuber 2015), widths all equal. W_t takes the initialisation of W.
///
/// The stream y is Role::act and dE/dy Role::dgrad; W x + b is Role::branch_preact with gradient
/// Role::branch_dgrad, phi of it Role::branch_act, t Role::gate_transform.
template <class Real>
std::unique_ptr<Block<Real>> make_highway(const Bundle& bundle, int layer);

BlockParts highway_parts(const NetworkSpec& network);

/// x, W x + b and W_t x + transform_bias.
int highway_tape(const NetworkSpec& network);

}  // namespace gradflow::nn
