#pragma once

#include <optional>

#include "gradflow/nn/network.hpp"
#include "gradflow/sweep/sweep.hpp"

namespace gradflow::experiment {

/// The table [jacobian] of a point; nothing if the sweep has none.
/// @param network  widths, normalization and recurrence are read
/// @throws UserError with the place of the key: layers that do not exist or have no factor between them, more
/// directions than units, blocks whose samples or levels are coupled
std::optional<nn::JacobianRequest> jacobian_of(const sweep::SweepPoint& point,
                                               const nn::NetworkSpec& network);

}  // namespace gradflow::experiment
