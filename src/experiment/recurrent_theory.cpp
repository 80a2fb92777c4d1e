#include "recurrent_theory.hpp"

#include <cmath>
#include <numbers>
#include <optional>

#include "gradflow/nn/block.hpp"
#include "gradflow/theory/recurrent.hpp"

namespace gradflow::experiment {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// The step of the network's own zero state, where it stays there, or of a linear rnn, which has one law.
std::optional<theory::ZeroStateStep> step_of(const nn::NetworkSpec& network) {
  const nn::Recurrence& recurrence = network.recurrence;
  if (network.activation.name() == "linear" && recurrence.stack == 1) {
    if (network.block == "rnn") return theory::rnn_step(network.activation.slope(0));
    if (network.block == "leaky_rnn") {
      return theory::leaky_rnn_step(recurrence.leak, network.activation.slope(0));
    }
  }
  if (network.data != "zero" || network.activation.slope(0) == 0) return std::nullopt;
  return block_theory(network).zero_state;
}

/// Steps over which the law of ln_squared_growth holds: the power of W that counts most stays below the cube
/// root of the width.
double most_steps(const nn::NetworkSpec& network, const theory::ZeroStateStep& step, double sigma_w) {
  const bool is_square = nn::gates_of(network) == 1;
  if (is_square && network.init.scheme->distribution == nn::Distribution::orthogonal) {
    return std::numeric_limits<double>::infinity();
  }
  const double feedback = std::abs(step.feedback) * sigma_w;
  return std::cbrt(network.widths[1]) * (std::abs(step.direct) + feedback) / feedback;
}

/// ln of the growth of the squared gradient over 0, 1, ... steps, NaN where it is not known.
std::vector<double> ln_growths(const nn::NetworkSpec& network, const theory::ZeroStateStep& step,
                               double sigma_w) {
  const int steps = network.steps();
  std::vector<double> growths;
  if (network.init.scheme->distribution == nn::Distribution::identity) {
    const double factor = std::abs(step.direct + step.feedback * sigma_w);
    for (int n = 0; n <= steps; ++n) growths.push_back(n == 0 ? 0 : 2 * n * std::log(factor));
    return growths;
  }
  growths = theory::ln_squared_growths(step, sigma_w, steps);
  const double most = most_steps(network, step, sigma_w);
  for (int n = 0; n <= steps; ++n) {
    if (n > most) growths[std::size_t(n)] = nan;
  }
  return growths;
}

}  // namespace

/// Of an lstm the growth is that of dE/dc; dE/dh_t = i phi' W' dE/dc_{t+1}, and dE/dc_T = o phi' dE/dh_T.
BlockTheory recurrent_theory(const nn::NetworkSpec& network) {
  const std::optional<theory::ZeroStateStep> step = step_of(network);
  BlockTheory known;
  known.zero_state = block_theory(network).zero_state;
  if (!step) return known;
  const int width = network.widths[1];
  // The candidate stands first and has the whole identity; of other isometries every gate has a cut.
  const bool is_identity = network.init.scheme->distribution == nn::Distribution::identity;
  const double sigma_w =
      network.init.effective_sigma_w(width, is_identity ? width : nn::gates_of(network) * width);
  const std::vector<double> growth = ln_growths(network, *step, sigma_w);
  const bool has_cell = network.block == "lstm";
  const double into_cell = has_cell ? 2 * std::log(std::abs(step->feedback) * sigma_w) : 0;
  const double radius = theory::spectral_radius(*step, sigma_w);
  known.rate = radius * radius;
  for (int t = 1; t <= network.steps(); ++t) {
    const auto after = std::size_t(network.steps() - t);
    const double ln_squared = after == 0 ? 0 : has_cell ? into_cell + growth[after - 1] : growth[after];
    known.dgrad_log10_rms.push_back(ln_squared / (2 * std::numbers::ln10));
  }
  return known;
}

}  // namespace gradflow::experiment
