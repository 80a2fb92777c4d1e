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
  int batch = 0;
  bool has_bias = false;

  double wgrad_log10_norm() const;
  double bgrad_log10_norm() const;  ///< NaN without a bias, -infinity for one whose gradient vanishes
  double weight_log10_norm() const;
  double wgrad_to_weight_log10() const;  ///< -infinity if the gradient is zero

  /// log10 of the simple noise scale tr(Sigma) / |g|^2 (McCandlish et al. 2018), Sigma the unbiased
  /// covariance of the g_s; NaN for a batch of 1, -infinity if all samples have the same gradient.
  double log10_noise_scale() const;
};

/// Everything measured at one layer of one point. Merging is the executor's: each member folds over tiles by
/// itself.
struct LayerRecord {
  SignalSummary preact;        ///< z_l
  SignalSummary act;           ///< h_l
  SignalSummary dgrad;         ///< dE_s/dz_l per sample
  std::int64_t saturated = 0;  ///< units and samples with |phi'| < saturation_threshold * sup |phi'|
  std::int64_t lost =
      0;  ///< gradient elements stored as 0 though neither factor is: below 2^-125 of the largest
  GradientNorms gradients;

  double saturated_fraction() const;  ///< over the elements of `act`
  double lost_fraction() const;       ///< over the elements of `dgrad`
};

/// The share of its largest slope below which an activation counts as saturated.
inline constexpr double saturation_threshold = 0.01;

}  // namespace gradflow::stats
