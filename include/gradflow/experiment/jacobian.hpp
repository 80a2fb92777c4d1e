#pragma once

#include <optional>

#include "gradflow/experiment/prediction.hpp"
#include "gradflow/nn/directions.hpp"
#include "gradflow/stats/table.hpp"

namespace gradflow::experiment {

/// The columns of a Jacobian and of what theory says of it. @param most  directions of any point
stats::Columns jacobian_columns(int most);

/// Writes what was measured of a point, and theory beside it. A point without a Jacobian stays NaN.
/// @param measured  none on ranks that do not hold the first stage
/// @pre the columns from `first_column` on are jacobian_columns()
void fill(stats::PointTable& table, int first_column, const nn::NetworkSpec& network,
          const Prediction& prediction, const std::optional<nn::JacobianSpectrum>& measured);

}  // namespace gradflow::experiment
