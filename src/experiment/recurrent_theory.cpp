#include "recurrent_theory.hpp"

#include <cmath>
#include <numbers>
#include <optional>

#include "gradflow/nn/block.hpp"
#include "gradflow/theory/recurrent.hpp"

namespace gradflow::experiment {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

bool has_tangent_at_zero(const nn::Activation& phi) {
  constexpr double beside = 1e-9;
  return phi.value(0) == 0 && phi.slope(0) != 0 &&
         std::abs(phi.slope(beside) - phi.slope(-beside)) < 1e-6 * std::abs(phi.slope(0));
}

/// Whether every preactivation is 0, whatever the weights.
bool stays_at_zero(const nn::NetworkSpec& network) {
  return network.data == "zero" && network.recurrence.input == nn::StepInput::none &&
         network.init.effective_sigma_b(network.widths[0]) == 0;
}

/// The theory's gates stand around tanh, whose slope at 0 is 1.
std::optional<theory::ZeroStateStep> step_of(const nn::NetworkSpec& network) {
  const nn::Recurrence& recurrence = network.recurrence;
  const double slope = network.activation.slope(0);
  const bool is_linear =
      network.activation.name() == "linear" && (network.block == "rnn" || network.block == "leaky_rnn");
  const bool at_zero = stays_at_zero(network) && has_tangent_at_zero(network.activation);
  if ((!is_linear && !at_zero) || recurrence.stack > 1 || recurrence.t_max) return std::nullopt;
  if (network.block == "rnn") return theory::rnn_step(slope);
  if (network.block == "leaky_rnn") return theory::leaky_rnn_step(recurrence.leak, slope);
  theory::ZeroStateStep step = theory::gru_step();
  if (network.block == "lstm") {
    step = recurrence.forget_gate ? theory::lstm_step(recurrence.forget_bias)
                                  : theory::lstm_step_without_forget_gate();
    step.feedback *= slope;  // of phi(c)
  }
  step.feedback *= slope;
  return step;
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
  if (!step) return {};
  const int width = network.widths[1];
  const double sigma_w = network.init.effective_sigma_w(width, nn::gates_of(network) * width);
  const std::vector<double> growth = ln_growths(network, *step, sigma_w);
  const bool has_cell = network.block == "lstm";
  const double into_cell = has_cell ? 2 * std::log(std::abs(step->feedback) * sigma_w) : 0;
  BlockTheory known;
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
