#pragma once

#include <limits>
#include <span>
#include <string>
#include <vector>

#include "gradflow/report/profile.hpp"

namespace gradflow::report {

/// The first and the last layers are not stationary: this share of the depth is left out at each end of a
/// fit.
inline constexpr double end_share = 0.1;

/// A slope through fewer layers than this is not given.
inline constexpr int fewest_fitted_layers = 8;

/// How the size of the gradient changes per layer on its way from the output to the input, as a power of ten:
/// +0.01 means a factor 10^0.01 per layer, and below zero the gradient shrinks.
struct Growth {
  double log10_per_layer =
      std::numeric_limits<double>::quiet_NaN();                      ///< mean over seeds; NaN: too few layers
  double standard_error = std::numeric_limits<double>::quiet_NaN();  ///< over seeds; NaN for one seed
  double theory = std::numeric_limits<double>::quiet_NaN();  ///< the same fit of the predicted profile
};

/// Least-squares slope against the distance from the output, over interior layers of finite value.
/// @return NaN if there are fewer than fewest_fitted_layers of them
double slope_towards_input(std::span<const int> layers, std::span<const double> log10_sizes);

/// @param theory  [layer] predicted log10 size; empty if there is no prediction
Growth growth_of(const SeedRows& log10_sizes, std::span<const double> theory);

/// The statistic that a growth is fitted to: the typical norm, dgrad_log10_norm_mean. Where widths differ
/// from layer to layer the prediction, a root mean square, can only be compared with dgrad_log10_rms.
std::string gradient_column(const store::ResultFile& file);

/// Predicted log10 root mean square of the gradient in every stored layer; empty if the file has none.
/// @pre the configuration has a measured point
std::vector<double> predicted_gradient(const store::ResultFile& file, const Configuration& configuration);

}  // namespace gradflow::report
