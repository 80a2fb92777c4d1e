#pragma once

#include <limits>
#include <span>

/// Exact laws of finite networks without biases and with Gaussian weights.
///
/// s = ln(|x'|^2 / |x|^2) for one step of the forward or backward signal: natural logarithm of the squared
/// norm ratio. Forward, h_{l-1} to h_l: `units` = width of layer l, `weight_variance` = Var W_l. Backward,
/// dE/dz_{l+1} to dE/dz_l: `units` = width of layer l, `weight_variance` = Var W_{l+1}. Steps are
/// independent.
namespace gradflow::theory {

/// Mean and variance of s; NaN where no law is known.
struct Increment {
  double mean = std::numeric_limits<double>::quiet_NaN();
  double variance = std::numeric_limits<double>::quiet_NaN();
};

/// s = ln(v chi^2_units): mean ln(2v) + psi(units/2), variance psi_1(units/2).
Increment linear_increment(int units, double weight_variance);

/// s = ln(v chi^2_M), M ~ Binomial(units, 1/2) given M >= 1: every gate is a fair coin.
Increment relu_increment(int units, double weight_variance);

/// s = ln(v (chi^2_M + slope^2 chi^2_{units - M})), by the Laplace transform of its argument.
/// @pre slope != 0
Increment leaky_relu_increment(int units, double weight_variance, double slope);

/// The law of any phi with phi(a z) = a phi(z) for a > 0: slopes phi'(0+) and phi'(0-). Unknown where both
/// are 0.
Increment homogeneous_increment(int units, double weight_variance, double slope_above, double slope_below);

/// Orthogonal square weights, sigma_w Q, keep directions' norms: s = ln sigma_w^2 without any variance.
Increment orthogonal_linear_increment(double sigma_w);

/// The sigma_w at which E s = 0 in layers of equal width: a random walk of log norms without drift
/// (Sussillo & Abbott 2014).
double unbiased_linear_gain(int width);
double unbiased_relu_gain(int width);
double unbiased_leaky_relu_gain(int width, double slope);

/// kappa = 6 (1 + a^4) / (1 + a^2)^2 - 1 for slope a on the negative side: 5 for relu (a = 0), 2 for linear
/// (a = 1).
double kappa(double slope);

/// E (|h_L|^2 / |h_0|^2)^2 = prod (1 + kappa / n_l) at the sigma_w that keeps E |h|^2 in every layer.
/// @param widths  n_1 ... n_L
double squared_norm_second_moment(double slope, std::span<const int> widths);

/// The same for square Haar-orthogonal weights, whose rows share one sphere: prod (n_l + kappa) / (n_l + 2).
double orthogonal_squared_norm_second_moment(double slope, std::span<const int> widths);

}  // namespace gradflow::theory
