#pragma once

#include <span>
#include <vector>

#include "gradflow/nn/activation.hpp"

namespace gradflow::theory {

/// Correlation of dE/dz_l of two samples that share one cotangent at layer L, at variance q in every layer:
/// the product over j = l..L-1 of E phi'(z1) phi'(z2) / E phi'^2 at the correlation c_j of the preactivations
/// z_j; for ReLU 1 - arccos(c_j) / pi (Balduzzi et al., The Shattered Gradients Problem, ICML 2017).
/// @param preact_corr  c_1 ... c_L
/// @return             [L], 1 at layer L
std::vector<double> gradient_correlation(const nn::Activation& phi, double q,
                                         std::span<const double> preact_corr);

/// The share of the preactivations' second moment that is common to all inputs after one layer: (E phi)^2 / E
/// phi^2 at variance q (Clevert, Unterthiner & Hochreiter, ELU, ICLR 2016). 1/pi for relu, 0 for
/// tanh.
double bias_shift_share(const nn::Activation& phi, double q);

}  // namespace gradflow::theory
