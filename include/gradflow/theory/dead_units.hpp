#pragma once

#include <span>

namespace gradflow::theory {

/// P(a ReLU network without biases is dead by its last hidden layer) for one input: 1 - prod (1 - 2^-N_l),
/// because each gate of a layer whose predecessor lives is a fair coin (Lu, Shin, Su & Karniadakis 2020).
/// @param widths  of the hidden layers, N_1 ... N_H
double dead_network_probability(std::span<const int> widths);

/// The same for `depth` layers of one width, at any depth.
double dead_network_probability(int width, int depth);

}  // namespace gradflow::theory
