#pragma once

#include "gradflow/nn/activation.hpp"

/// Mean-field maps from one layer to the next, for z = W phi(z_before) + b, W ~ N(0, sigma_w^2 / fan_in),
/// b ~ N(0, sigma_b^2), in wide layers (Poole et al. NeurIPS 2016; Schoenholz et al. ICLR 2017). Orthogonal
/// weights obey the same maps. Any 0 <= q <= 1e300.
namespace gradflow::theory {

/// The variance of the next layer: q' = sigma_w^2 E phi(sqrt(q) x)^2 + sigma_b^2.
double q_map(const nn::Activation& phi, double sigma_w, double sigma_b, double q);

/// dq'/dq, often called chi_parallel.
double q_map_slope(const nn::Activation& phi, double sigma_w, double q);

/// The correlation of two samples in the next layer, both of variance q in this one; 1 stays 1.
/// @pre -1 <= c <= 1; q_map(phi, sigma_w, sigma_b, q) > 0
double c_map(const nn::Activation& phi, double sigma_w, double sigma_b, double q, double c);

/// dc'/dc.
double c_map_slope(const nn::Activation& phi, double sigma_w, double sigma_b, double q, double c);

/// sigma_w^2 E phi'(sqrt(q) x)^2: the factor of E (dE/dz)^2 from layer l + 1 down to layer l of variance q.
double chi1(const nn::Activation& phi, double sigma_w, double q);

}  // namespace gradflow::theory
