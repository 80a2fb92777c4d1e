#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <utility>

#include "gradflow/nn/network.hpp"
#include "gradflow/stats/table.hpp"
#include "gradflow/theory/phase.hpp"
#include "gradflow/theory/profile.hpp"

namespace gradflow::experiment {

/// What theory says of one network, stored beside its measurement. NaN where no theory applies.
struct Prediction {
  theory::Profile profile;
  theory::Asymptotics asymptotics;
  theory::CriticalPoint critical;
};

Prediction predict(const nn::NetworkSpec& network);

/// Predictions made lately. Theory knows no seed, so the seeds of a configuration share one.
class Predictions {
 public:
  const Prediction& of(const nn::NetworkSpec& network);

 private:
  static constexpr std::size_t kept = 16;
  static constexpr std::size_t most_layers = 20'000;  ///< of all kept ones, unless the latest has more

  std::size_t layers_kept() const;

  std::list<std::pair<nn::NetworkSpec, Prediction>> latest_;
};

/// The columns of a prediction: profiles per layer, then the asymptotics per point.
stats::Columns prediction_columns();

/// Writes the prediction's values for the table's rows. @param layers  the stored layers of the point,
/// ascending
/// @pre the columns from `first_column` on are prediction_columns()
void fill(stats::PointTable& table, int first_column, const std::vector<int>& layers,
          const Prediction& prediction);

}  // namespace gradflow::experiment
