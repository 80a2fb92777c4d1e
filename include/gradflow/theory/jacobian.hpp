#pragma once

#include "gradflow/nn/activation.hpp"
#include "gradflow/theory/finite_width.hpp"

/// Singular values of the Jacobian J of a product of `factors` layers (dz_L/dz_1 has L - 1).
namespace gradflow::theory {

/// ln R_ii per factor of the QR decomposition of a linear Gaussian network of N equal units, entry variance
/// v: |R_ii|^2 = v chi^2_{N-i+1}, independent over layers and i (Newman 1986). The mean is the Lyapunov
/// exponent lambda_i = [ln(2v) + psi((N - i + 1) / 2)] / 2, the variance psi_1((N - i + 1) / 2) / 4.
/// @param index  i, from 1 (the largest) to units
Increment lyapunov_exponent(int units, double weight_variance, int index);

/// Of X = J J^T, per unit of sigma_w: means over networks.
struct JacobianMoments {
  double trace_of_square = 0;  ///< E tr X^2
  double square_of_trace = 0;  ///< E (tr X)^2
};

/// Linear Gaussian: t2' = ((N + 1) t2 + t1) / N, t1' = t1 + 2 t2 / N, times sigma_w^4 each; (N, N^2) for no
/// factor.
JacobianMoments linear_jacobian_moments(int units, double sigma_w, int factors);

/// ReLU, Gaussian, no bias: t2' = ((N + 3) t2 + 2 t1) / N, t1' = ((N + 1) t1 + 4 t2) / N, times (sigma_w^2 /
/// 2)^2 each.
JacobianMoments relu_jacobian_moments(int units, double sigma_w, int factors);

/// Variance of the squared singular values over the square of their mean, in wide layers: factors * (mu_2 /
/// mu_1^2 - 1 - s1), mu_k = E phi'(z)^(2k) at variance q, s1 = -1 for Gaussian weights and 0 for orthogonal
/// ones (Pennington, Schoenholz & Ganguli, AISTATS 2018).
double isometry_variance(const nn::Activation& phi, double q, int factors, bool orthogonal);

}  // namespace gradflow::theory
