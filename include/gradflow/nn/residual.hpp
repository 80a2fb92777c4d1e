#pragma once

#include <memory>
#include <string_view>

#include "gradflow/nn/block.hpp"

namespace gradflow::nn {

/// A dense layer that normalises: z = W h + b, then h = phi(n(z)), or n(phi(z)).
///
/// The signals are those of Dense: z before normalisation is Role::preact, the output Role::act, dE/dz
/// Role::dgrad; phi and its saturation act on the normalised value.
template <class Real>
std::unique_ptr<Block<Real>> make_normalised_dense(const Bundle& bundle, int layer);

/// y = skip_scale x + branch_scale F(x), widths all equal. F is one of (He et al. 2016, and the variants of
/// its table 2; Xiong et al. 2020 for pre- and post-norm):
///
///     residual            W2 phi(W1 x + b1) + b2
///     preact_residual     W phi(x) + b
///     postact_residual    phi(W x + b)
///
/// with `branch_layers = 2` also for the last two: the branch twice, one behind the other. Both matrices of a
/// branch take the same initialisation. Normalisation stands before or after every phi of the branch, in
/// front of the branch (pre) or behind the sum (post).
///
/// The stream y is Role::act and dE/dy Role::dgrad. Inside the branch, W x + b of the first matrix is
/// Role::branch_preact with gradient Role::branch_dgrad, the first phi's output Role::branch_act, and F
/// before it is scaled Role::branch_output.
template <class Real>
std::unique_ptr<Block<Real>> make_residual(const Bundle& bundle, int layer);

template <class Real>
std::unique_ptr<Block<Real>> make_preact_residual(const Bundle& bundle, int layer);

template <class Real>
std::unique_ptr<Block<Real>> make_postact_residual(const Bundle& bundle, int layer);

/// What a residual block shows, and its matrices.
BlockParts residual_parts(const NetworkSpec& network);

/// One signal per matrix, phi and normalisation.
int residual_tape(const NetworkSpec& network);

}  // namespace gradflow::nn
