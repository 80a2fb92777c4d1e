#pragma once

#include "gradflow/core/scaled.hpp"
#include "gradflow/theory/moments.hpp"

namespace gradflow::theory {

/// |log2 q| from which a layer knows phi by its power laws only.
inline constexpr double power_laws_from = 110;

/// phi between weights and biases of any size: the maps of one layer. A quotient of two zeros is NaN.
struct Layer {
  Moments moments;
  Scaled weight_square;  ///< sigma_w^2
  Scaled bias_square;    ///< sigma_b^2

  Layer(const Moments& phi, Scaled w, Scaled b) : moments(phi), weight_square(w), bias_square(b) {}
  Layer(const nn::Activation& phi, double sigma_w, double sigma_b);

  Scaled q_map(Scaled q) const { return weight_square * moments.square(q) + bias_square; }
  Scaled q_slope(Scaled q) const { return weight_square * moments.growth(q); }
  Scaled chi1(Scaled q) const { return weight_square * moments.slope_square(q); }
  double c_map(Scaled q, double c) const;
  double c_slope(Scaled q, double c) const;

  /// Which way q = 2^log2_q moves, (q' - q) / (q' + q), in [-1, 1].
  double drift(double log2_q) const;

  bool homogeneous() const { return moments.activation().positively_homogeneous(); }
};

Scaled scaled_square(double x);

/// 2^x and its inverse.
Scaled power_of_two(double x);
double log2_of(Scaled q);

}  // namespace gradflow::theory
