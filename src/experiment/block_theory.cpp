#include "block_theory.hpp"

#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "gradflow/theory/moments.hpp"
#include "gradflow/theory/normalization.hpp"
#include "gradflow/theory/residual.hpp"

namespace gradflow::experiment {
namespace {

using nn::NormalizationKind;
using nn::NormalizationPosition;

constexpr double unknown_rate = std::numeric_limits<double>::quiet_NaN();

/// Batch norm behind phi at finite batch has no known rate.
double rate_of(const nn::NetworkSpec& network, double sigma_w, double sigma_b) {
  const nn::Activation& phi = network.activation;
  const bool is_before = network.normalization.position == NormalizationPosition::before;
  switch (network.normalization.kind) {
    case NormalizationKind::batch:
      return is_before ? theory::batch_norm_rate(phi, network.batch) : unknown_rate;
    case NormalizationKind::layer:
      return is_before ? theory::layer_norm_rate(phi, sigma_w, sigma_b)
                       : theory::layer_norm_after_rate(phi, sigma_w, sigma_b);
    case NormalizationKind::rms:
      return is_before ? theory::layer_norm_rate(phi, sigma_w, sigma_b)
                       : theory::rms_norm_after_rate(phi, sigma_w, sigma_b);
    case NormalizationKind::none:
      break;
  }
  return unknown_rate;
}

/// Whether epsilon is less than a thousandth of the variance it is added to: theory knows of none.
bool epsilon_is_negligible(const nn::NetworkSpec& network, double sigma_w, double sigma_b) {
  const bool is_before = network.normalization.position == NormalizationPosition::before;
  const theory::Moments moments(network.activation);
  const Scaled q = Scaled::of(is_before ? 1 : sigma_w * sigma_w + sigma_b * sigma_b);
  const Scaled mean = moments.mean(q);
  const double variance = (moments.square(q) - mean * mean).value() * (is_before ? sigma_w * sigma_w : 1);
  return network.normalization.epsilon <= 1e-3 * variance;
}

BlockTheory of_normalised(const nn::NetworkSpec& network, double sigma_w, double sigma_b) {
  BlockTheory known;
  if (!epsilon_is_negligible(network, sigma_w, sigma_b)) return known;
  const double rate = rate_of(network, sigma_w, sigma_b);
  if (!std::isfinite(rate)) return known;
  known.rate = rate;
  for (int layer = 1; layer <= network.depth(); ++layer) {
    known.dgrad_log10_rms.push_back((network.depth() - layer) * std::log10(rate) / 2);
  }
  return known;
}

/// Theory knows norms of the mean square in front of the branch or behind the sum.
bool covers_norm_of(const nn::Normalization& n) {
  const bool around = n.position == NormalizationPosition::pre || n.position == NormalizationPosition::post;
  const bool of_sample = n.kind == NormalizationKind::layer || n.kind == NormalizationKind::rms;
  return n.kind == NormalizationKind::none || (around && of_sample);
}

/// A positively homogeneous network keeps x_l . dE/dx_l from block to block, so a random cotangent has at
/// least E x_L^2 / E x_l^2 of its size along x_l. That direction is one of N and no part of a wide layer, but
/// where the stream's mean drifts (relu behind W) it outgrows the others: beyond a twentieth of all nothing
/// is known.
void forget_beyond_wide_layers(theory::ResidualProfile& profile, const nn::Activation& phi, int width) {
  const double mean = theory::Moments(phi).mean(Scaled::of(1)).value();
  if (std::abs(mean) < 1e-12) return;  // nothing drifts
  const double share = std::log10(0.05 * width);
  for (std::size_t l = 0; l < profile.log10_q.size(); ++l) {
    const double along_stream = profile.log10_q.back() - profile.log10_q[l];
    if (along_stream > 2 * profile.dgrad_log10_rms[l] + share) profile.dgrad_log10_rms[l] = unknown_rate;
  }
}

BlockTheory of_residual(const nn::NetworkSpec& network, double sigma_w, double sigma_b) {
  const nn::Normalization& n = network.normalization;
  if (!covers_norm_of(n) || (network.block != "residual" && network.residual.branch_layers != 1)) return {};
  theory::ResidualBlock block{.activation = network.activation};
  if (network.block == "preact_residual") block.branch = theory::Branch::preact;
  if (network.block == "postact_residual") block.branch = theory::Branch::postact;
  block.sigma_w = block.sigma_w_last = sigma_w;
  block.sigma_b = sigma_b;
  block.branch_scale = network.residual.branch;
  block.skip_scale = network.residual.skip;
  if (n.kind != NormalizationKind::none) {
    block.norm =
        n.position == NormalizationPosition::pre ? theory::NormPlacement::pre : theory::NormPlacement::post;
  }
  theory::ResidualProfile profile = theory::predict_residual(block, network.depth());
  if (block.branch == theory::Branch::postact)
    forget_beyond_wide_layers(profile, network.activation, network.widths[1]);
  return {.dgrad_log10_rms = std::move(profile.dgrad_log10_rms), .act_log10_q = std::move(profile.log10_q)};
}

BlockTheory of_highway(const nn::NetworkSpec& network, double sigma_w, double sigma_b) {
  theory::ResidualProfile profile = theory::predict_highway(
      {network.activation, sigma_w, sigma_b, network.transform_bias}, network.depth());
  forget_beyond_wide_layers(profile, network.activation, network.widths[1]);
  return {.dgrad_log10_rms = std::move(profile.dgrad_log10_rms), .act_log10_q = std::move(profile.log10_q)};
}

/// Whether one number says how phi leaves 0.
bool is_smooth_at_zero(const nn::Activation& phi) {
  return phi.zero_at_zero() && phi.slope(1e-30) == phi.slope(-1e-30);
}

/// A step in time from the state 0, which inputs and biases would leave; chrono gates are a step per unit.
std::optional<theory::ZeroStateStep> zero_state_of(const nn::NetworkSpec& network, double sigma_b) {
  const nn::Recurrence& r = network.recurrence;
  if (r.input != nn::StepInput::none || r.stack > 1 || sigma_b != 0 || r.t_max ||
      !is_smooth_at_zero(network.activation))
    return {};
  const double slope = network.activation.slope(0);
  if (network.block == "rnn") return theory::rnn_step(slope);
  if (network.block == "leaky_rnn") return theory::leaky_rnn_step(r.leak, slope);
  theory::ZeroStateStep step = theory::gru_step();  // one phi behind W
  step.feedback *= slope;
  if (network.block == "gru") return step;
  if (network.block != "lstm") return {};
  step = r.forget_gate ? theory::lstm_step(r.forget_bias) : theory::lstm_step_without_forget_gate();
  step.feedback *= slope * slope;  // and one between the cell and h
  return step;
}

}  // namespace

BlockTheory block_theory(const nn::NetworkSpec& network) {
  const nn::Normalization& n = network.normalization;
  const bool is_plain_norm = n.scale == 1 && n.shift == 0;
  if (n.kind != NormalizationKind::none && !is_plain_norm) return {};
  const int width = network.widths[1];
  const double sigma_w = network.init.effective_sigma_w(width, width);
  const double sigma_b = network.init.effective_sigma_b(width);
  if (network.block == "dense") return of_normalised(network, sigma_w, sigma_b);
  if (network.block == "highway") return of_highway(network, sigma_w, sigma_b);
  if (network.block.ends_with("residual")) return of_residual(network, sigma_w, sigma_b);
  BlockTheory known;
  known.zero_state = zero_state_of(network, sigma_b);
  return known;
}

std::string known_to_block_theory(const nn::NetworkSpec& network) {
  const nn::Normalization& n = network.normalization;
  const int batch = n.kind == NormalizationKind::batch ? network.batch : 0;
  const nn::Recurrence& r = network.recurrence;
  return fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}", network.block, int(n.kind),
                     int(n.position), n.epsilon, n.scale, n.shift, batch, network.residual.branch,
                     network.residual.skip, network.residual.branch_layers, int(r.input), r.leak,
                     r.forget_gate, r.forget_bias, r.t_max.value_or(0), r.stack, network.transform_bias);
}

}  // namespace gradflow::experiment
