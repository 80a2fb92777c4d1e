#pragma once

#include "gradflow/nn/activation.hpp"

/// Gradients through layers with normalisation, in the limit of wide layers and without epsilon.
///
/// Every rate is the factor of E |dE/dz|^2 from layer l + 1 down to layer l, z being the preactivation before
/// normalisation. Normalisation takes the place of the length map: there is no fixed point to be reached.
namespace gradflow::theory {

/// Batch norm before phi: z -> (z - mean over the batch) / (population deviation over the batch) -> phi -> W,
/// whatever sigma_w and sigma_b (Yang et al., ICLR 2019: gradients explode for every phi).
///
/// With x on the sphere of normalised batches, d = phi'(x), indices 1 and 2 two samples, n = B - 1:
///   rate = B / ((B - 3) n (E phi^2 - E phi1 phi2))
///          * {n E d^2 - E d^2 x^2 - [n (E d^2 - E d1 d2 - E x1 d1 x2 d2) - E d^2 x^2] / B}.
/// Closed for linear, relu and leaky_relu: (B - 2) / (B - 3) for linear. Quadrature to 1e-10 for the others.
/// At width N the typical rate differs by less than 5/N, even where N < B. @return infinity for batch 2 and 3
/// @pre batch >= 2
/// @throws UserError if the quadrature does not converge
double batch_norm_rate(const nn::Activation& phi, int batch);

/// The same for B -> infinity: E phi'^2 / Var phi under N(0, 1).
double batch_norm_rate(const nn::Activation& phi);

/// Layer norm after phi: z = W (phi(z_before) - mean) / deviation + b has q = sigma_w^2 + sigma_b^2, and
/// rate = sigma_w^2 E phi'(sqrt(q) x)^2 / Var phi(sqrt(q) x). Without biases that is batch norm after phi
/// too, for B -> infinity: normalised samples are uncorrelated, and over many of them a unit sees what a
/// sample sees over units.
double layer_norm_after_rate(const nn::Activation& phi, double sigma_w, double sigma_b);

/// Layer norm or rms norm before phi: preactivations have mean 0 over many units, so the two are one.
/// rate = sigma_w^2 E phi'(x)^2 / (sigma_w^2 E phi(x)^2 + sigma_b^2) under N(0, 1): 1 for relu without
/// biases.
double layer_norm_rate(const nn::Activation& phi, double sigma_w, double sigma_b);

/// Rms norm after phi: q = sigma_w^2 + sigma_b^2, rate = sigma_w^2 E phi'(sqrt(q) x)^2 / E phi(sqrt(q) x)^2.
double rms_norm_after_rate(const nn::Activation& phi, double sigma_w, double sigma_b);

}  // namespace gradflow::theory
