#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "gradflow/nn/network.hpp"
#include "gradflow/theory/recurrent.hpp"

namespace gradflow::experiment {

/// What theory says of layers that normalise or have a skip. Empty or NaN where nothing is known.
struct BlockTheory {
  std::vector<double> dgrad_log10_rms;                     ///< [depth] of Role::dgrad, 0 at the last layer
  std::vector<double> act_log10_q;                         ///< [depth] of the stream
  double rate = std::numeric_limits<double>::quiet_NaN();  ///< factor of E dgrad^2 per layer, if it is one
  std::optional<theory::ZeroStateStep> zero_state{};       ///< of a step in time
};

/// @pre N(0, 1) data, random cotangent, weights of equal variance in every layer
BlockTheory block_theory(const nn::NetworkSpec& network);

/// The part of a network that block_theory() rests on beside widths, activation and initialisation.
std::string known_to_block_theory(const nn::NetworkSpec& network);

}  // namespace gradflow::experiment
