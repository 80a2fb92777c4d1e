#pragma once

#include <cstdint>

#include "gradflow/core/scaled.hpp"
#include "gradflow/stats/signal_summary.hpp"

namespace gradflow::stats {

/// Norms of the gradients of one layer's parameters: g_s is the weight gradient of sample s, g the mean over
/// the batch.
struct GradientNorms {
  Scaled wgrad_squared{};       ///< |g|_F^2
  Scaled bgrad_squared{};       ///< |mean bias gradient|^2
  Scaled weight_squared{};      ///< |W|_F^2
  Scaled sample_squared_sum{};  ///< sum over samples of |g_s|_F^2, weights only
  double relative_error = 0;    ///< of wgrad_squared, what rounding may have done to it
  int batch = 0;
  bool has_bias = false;

  double wgrad_log10_norm() const;
  double bgrad_log10_norm() const;  ///< NaN without a bias, -infinity for one whose gradient vanishes
  double weight_log10_norm() const;
  double wgrad_to_weight_log10() const;  ///< -infinity if the gradient is zero

  /// log10 of the simple noise scale tr(Sigma) / |g|^2 (McCandlish et al. 2018), Sigma the unbiased
  /// covariance of the g_s; NaN for a batch of 1, and where relative_error leaves Sigma less than two digits.
  double log10_noise_scale() const;
};

/// Everything measured at one layer of one point. Merging is the executor's: each member folds over tiles by
/// itself.
struct LayerRecord {
  SignalSummary preact;        ///< z_l
  SignalSummary act;           ///< h_l
  SignalSummary dgrad;         ///< dE_s/dz_l per sample
  std::int64_t saturated = 0;  ///< units and samples with |phi'| below the saturation threshold
  std::int64_t lost =
      0;  ///< gradient elements stored as 0 though neither factor is: below 2^-125 of the largest
  GradientNorms gradients;

  /// Frees what only a merge needs of the signals of the forward pass. @pre all of them were merged
  void seal_forward();

  double saturated_fraction() const;  ///< over the elements of `act`
  double lost_fraction() const;       ///< over the elements of `dgrad`
};

}  // namespace gradflow::stats
