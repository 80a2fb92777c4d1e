#pragma once

#include <vector>

#include "gradflow/core/scaled.hpp"
#include "gradflow/nn/activation.hpp"

/// Wide residual networks, block by block: the stream x, its mean square, and the gradient dE/dx.
///
/// Signals of different branches are uncorrelated because every matrix is drawn anew, so mean squares add
/// (Yang & Schoenholz, Mean Field Residual Networks, NeurIPS 2017; Hayou et al., Stable ResNet, AISTATS
/// 2021). Forward growth of relu branches is exact at any width; gradients and other activations are limits
/// of wide layers.
namespace gradflow::theory {

/// What a branch does to the stream x (or to its normalised copy).
enum class Branch {
  residual,  ///< W2 phi(W1 x + b1) + b2
  preact,    ///< W phi(x) + b
  postact,   ///< phi(W x + b): not of mean 0, so the mean of the stream drifts
};

/// Where a norm that brings the mean square to 1 is applied.
enum class NormPlacement {
  none,
  pre,   ///< to what enters the branch; the stream itself is not normalised
  post,  ///< to the sum of stream and branch
};

/// One block: x' = skip_scale x + branch_scale branch(x).
struct ResidualBlock {
  Branch branch = Branch::residual;
  nn::Activation activation;
  double sigma_w = 1;       ///< of W1 or W
  double sigma_w_last = 1;  ///< of W2
  double sigma_b = 0;
  double branch_scale = 1;  ///< 0: ReZero (Bachlechner et al., UAI 2021), SkipInit (De & Smith, NeurIPS 2020)
  double skip_scale = 1;    ///< other than 1 in DeepNorm (Wang et al. 2022) and highway networks
  NormPlacement norm = NormPlacement::none;
};

/// Highway block with zero transform weights: T phi(W x + b) + (1 - T) x, T = sigmoid(transform_bias)
/// (Srivastava et al., Training Very Deep Networks, NeurIPS 2015).
ResidualBlock highway_block(const nn::Activation& phi, double sigma_w, double sigma_b, double transform_bias);

/// Factor of a norm on the direct path through one such block: sigmoid(-transform_bias).
double highway_carry(double transform_bias);

/// Mean and mean square of one unit of the stream, over networks and units.
struct StreamMoments {
  Scaled mean;
  Scaled square = Scaled::of(1);
};

/// One block's effect.
struct BlockStep {
  StreamMoments out;
  Scaled gradient_factor;  ///< E |dE/dx|^2 before the block over that behind it
};

/// With p = E x^2, q the mean square of phi's argument, a = branch_scale, s = skip_scale:
///   residual   q = sigma_w^2 p + sigma_b^2   p' = s^2 p + a^2 (sigma_w_last^2 E phi^2 + sigma_b^2)
///              gradient s^2 + a^2 sigma_w^2 sigma_w_last^2 E phi'^2
///   preact     q = p                         p' = s^2 p + a^2 (sigma_w^2 E phi^2 + sigma_b^2)
///              gradient s^2 + a^2 sigma_w^2 E phi'^2
///   postact    q = sigma_w^2 p + sigma_b^2   p' = s^2 p + 2 s a m E phi + a^2 E phi^2, m' = s m + a E phi
///              gradient s^2 + a^2 sigma_w^2 E phi'^2
/// Pre-norm: p = 1 inside the branch, whose gradient term is divided by p. Post-norm: p' = 1 and the gradient
/// is divided by the p' before it.
BlockStep residual_step(const ResidualBlock& block, const StreamMoments& in);

/// Streams behind blocks 1..depth.
struct ResidualProfile {
  std::vector<double> log10_q;          ///< [depth] log10 E x_l^2
  std::vector<double> dgrad_log10_rms;  ///< [depth] log10 sqrt(E (dE/dx_l)^2), 0 at the last
};

/// Highway block whose transform weights W_t are drawn like W: y = t phi(z) + (1 - t) x, t = sigmoid(u), with
/// z and u ~ N(0, q) around 0 and around the bias, q = sigma_w^2 E x^2 + sigma_b^2, independent.
struct HighwayBlock {
  nn::Activation activation;
  double sigma_w = 1;  ///< of W and W_t
  double sigma_b = 0;
  double transform_bias = -1;
};

/// p' = E t^2 E phi^2 + E (1-t)^2 p + 2 E t(1-t) m E phi, m' = E t E phi + E (1-t) m,
/// gradient E (1-t)^2 + sigma_w^2 [E t^2 E phi'^2 + (E phi^2 + p - 2 m E phi) E sigmoid'(u)^2].
BlockStep highway_step(const HighwayBlock& block, const StreamMoments& in);

ResidualProfile predict_highway(const HighwayBlock& block, int depth, double input_square = 1);

/// The recursion block by block from E x_0^2, at any depth and any size of signal. @pre depth >= 1
ResidualProfile predict_residual(const ResidualBlock& block, int depth, double input_square = 1);

}  // namespace gradflow::theory
