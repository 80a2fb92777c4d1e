#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "gradflow/core/role.hpp"
#include "gradflow/core/scaled.hpp"
#include "gradflow/stats/signal_summary.hpp"

namespace gradflow::stats {

/// Norms of the gradients of one weight matrix and its bias: g_s is the weight gradient of sample s, g the
/// mean over the batch.
struct GradientNorms {
  Scaled wgrad_squared{};       ///< |g|_F^2
  Scaled bgrad_squared{};       ///< |mean bias gradient|^2
  Scaled weight_squared{};      ///< |W|_F^2
  Scaled sample_squared_sum{};  ///< sum over samples of |g_s|_F^2, weights only
  double relative_error = 0;    ///< of wgrad_squared, what rounding may have done to it
  int batch = 0;                ///< 0: there is no such matrix
  bool has_bias = false;

  // Every figure is NaN if there is no such matrix.
  double wgrad_log10_norm() const;
  double bgrad_log10_norm() const;  ///< NaN without a bias, -infinity for one whose gradient vanishes
  double weight_log10_norm() const;
  double wgrad_to_weight_log10() const;  ///< -infinity if the gradient is zero

  /// log10 of the simple noise scale tr(Sigma) / |g|^2 (McCandlish et al. 2018), Sigma the unbiased
  /// covariance of the g_s; NaN for a batch of 1, and where relative_error leaves Sigma less than two digits.
  double log10_noise_scale() const;

  /// log10 of |E g|^2, estimated without bias as |g|^2 - tr(Sigma)/B (McCandlish et al. 2018, appendix A),
  /// over tr(Sigma)/B, the variance of the mean of the batch; -infinity if the estimate is not positive, NaN
  /// as above.
  double log10_signal_to_noise() const;
};

/// What is measured of one signal of a layer.
struct SignalRecord {
  SignalSummary summary;
  std::int64_t saturated = 0;  ///< elements with |phi'| below the saturation threshold
  std::int64_t lost = 0;       ///< stored as 0 though neither factor is: below 2^-125 of the sample's largest

  double saturated_fraction() const;  ///< over the elements of the summary
  double lost_fraction() const;       ///< over the elements of the summary
};

/// Everything measured at one layer of one point. Merging is the executor's: each signal folds over tiles by
/// itself. A signal or a matrix that was never measured reads as an empty one.
class LayerRecord {
 public:
  SignalRecord& operator[](Role role);
  const SignalRecord& operator[](Role role) const;

  GradientNorms& operator[](WeightRole role);
  const GradientNorms& operator[](WeightRole role) const;

  /// Frees what only a merge needs of the signals of the forward pass, or of all. @pre all of them were
  /// merged
  void seal_forward();
  void seal();

 private:
  std::vector<std::pair<Role, SignalRecord>> signals_;
  std::vector<std::pair<WeightRole, GradientNorms>> gradients_;
};

}  // namespace gradflow::stats
