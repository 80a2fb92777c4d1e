#pragma once

#include "gradflow/nn/network.hpp"
#include "gradflow/sweep/sweep.hpp"

namespace gradflow::experiment {

/// How the weights of a network begin, with what theory solves for it: sigma_w of `critical` and
/// `random_walk`, the factors of `fixup` and `deepnorm`.
///
/// A solved sigma_w has 12 significant digits, as generated values have: the same numbers from any compiler.
/// @param network  block, widths, activation and residual are read
/// @throws UserError with the place of the key, where values exclude each other or there is no solution
nn::Initialisation initialisation_of(const sweep::SweepPoint& point, const nn::NetworkSpec& network);

/// Whether sigma_b or the width decide that a scheme of the sweep can be used at all.
bool depends_on_numbers(const nn::SchemeRow& scheme);

}  // namespace gradflow::experiment
