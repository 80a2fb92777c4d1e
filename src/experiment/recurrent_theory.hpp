#pragma once

#include "block_theory.hpp"

namespace gradflow::experiment {

/// What theory says of a recurrent network: at its zero state (no inputs, no biases, data that is zero), or
/// anywhere if it is linear. Empty where the law does not hold: stacked levels, chrono biases, a phi without
/// a tangent at 0, and, unless the weights are orthogonal or the identity, steps so many that powers of the
/// matrix are no longer those of an infinitely wide one.
/// @pre random cotangent
BlockTheory recurrent_theory(const nn::NetworkSpec& network);

}  // namespace gradflow::experiment
