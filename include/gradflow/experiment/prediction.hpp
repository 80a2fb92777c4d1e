#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "gradflow/nn/network.hpp"
#include "gradflow/stats/table.hpp"
#include "gradflow/theory/finite_width.hpp"
#include "gradflow/theory/phase.hpp"
#include "gradflow/theory/profile.hpp"
#include "gradflow/theory/recurrent.hpp"

namespace gradflow::experiment {

/// What theory says of one network, stored beside its measurement. NaN where no theory applies.
struct Prediction {
  theory::Profile profile;
  theory::Asymptotics asymptotics{};
  theory::CriticalPoint critical{};
  theory::Increment increment{};                        ///< of the squared norm, per layer
  std::vector<double> stream_log10_q{};                 ///< [depth] of a residual stream; empty: not known
  double dead_network_probability = theory::not_known;  ///< by the last hidden layer, for one input
  double isometry_variance = theory::not_known;  ///< of the squared singular values of dz_L/dz_1, relative
  theory::ZeroStateStep zero_state{theory::not_known, theory::not_known};  ///< of a step in time
  double spectral_radius = theory::not_known;                              ///< of that step
};

Prediction predict(const nn::NetworkSpec& network);

/// Predictions made so far. Theory knows no seed, and the batch only behind batch norm, so the seeds of a
/// configuration share one.
class Predictions {
 public:
  /// Makes what is not known of these networks on all threads: a configuration of a narrow network takes as
  /// long to predict as to measure.
  void learn(std::span<const nn::NetworkSpec> networks);

  /// @return valid until the next call
  const Prediction& of(const nn::NetworkSpec& network);

  /// Configurations whose prediction is remembered.
  std::size_t known() const noexcept { return known_.size(); }

 private:
  theory::CriticalPoint critical(const nn::Activation& activation, double sigma_b);

  /// When the profiles take more, all are forgotten: 3400 configurations of depth 200.
  static constexpr std::size_t most_bytes = std::size_t(16) << 20;

  std::unordered_map<std::string, Prediction> known_;      ///< by all that theory knows of a network
  std::map<std::string, theory::CriticalPoint> critical_;  ///< by activation and sigma_b
  std::mutex critical_is_looked_up_;
  std::size_t bytes_ = 0;
};

/// The columns of a prediction: profiles per layer, then the asymptotics per point.
stats::Columns prediction_columns();

/// Writes the prediction's values for the table's rows. @param layers  the stored layers of the point,
/// ascending
/// @pre the columns from `first_column` on are prediction_columns()
void fill(stats::PointTable& table, int first_column, const std::vector<int>& layers,
          const Prediction& prediction);

}  // namespace gradflow::experiment
