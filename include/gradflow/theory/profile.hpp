#pragma once

#include <vector>

#include "gradflow/nn/activation.hpp"

namespace gradflow::theory {

/// A dense network without normalisation, as mean-field theory sees it.
struct DenseNetwork {
  nn::Activation activation;
  std::vector<double> sigma_w;  ///< [depth] std(W_l) sqrt(fan_in)
  std::vector<double> sigma_b;  ///< [depth] std(b_l)
  std::vector<int> widths;      ///< [depth + 1] input first
  double input_square = 1;      ///< E h_0^2
  double input_correlation = 0;
  bool shared_cotangent = false;  ///< one cotangent for all samples, else independent ones
};

/// What theory predicts for layers 1..depth. NaN where it has nothing to say.
struct Profile {
  std::vector<double> preact_log10_q;   ///< [depth] log10 E z_l^2
  std::vector<double> preact_corr;      ///< [depth] correlation of two samples
  std::vector<double> dgrad_log10_rms;  ///< [depth] log10 sqrt(E (dE/dz_l)^2); 0 at the last layer
  std::vector<double> dgrad_corr;       ///< [depth] correlation of two samples' dE/dz_l; 0 unless shared

  /// All NaN: for networks no theory covers.
  static Profile unknown(int depth);
};

/// The recursion layer by layer, at any depth and any size of signal (1e-4000, 2^10000).
///
/// Integrals are evaluated again only while q moves; beyond that transient a layer costs below a microsecond.
/// @pre sigma_w, sigma_b and widths fit together; depth >= 1
Profile predict(const DenseNetwork& network);

}  // namespace gradflow::theory
