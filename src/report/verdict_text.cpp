#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "gradflow/nn/initialiser.hpp"
#include "gradflow/report/verdict.hpp"
#include "text.hpp"

namespace gradflow::report {
namespace {

std::string change(const Verdict& verdict) {
  return fmt::format("x {} per layer", figures(std::pow(10, verdict.growth.log10_per_layer), 4));
}

std::string place(const Verdict& verdict) {
  if (!verdict.outside_fp32_from) return "";
  return fmt::format("{} fp32 from layer {}", verdict.fate == Fate::vanishes ? "below" : "above",
                     *verdict.outside_fp32_from);
}

std::string some_dead(const Verdict& verdict) {
  return verdict.dead_seeds == 0 ? "" : fmt::format("{} of {} seeds dead", verdict.dead_seeds, verdict.seeds);
}

std::string of_theory(const Verdict& verdict) {
  std::string text;
  if (std::isfinite(verdict.chi1)) text += fmt::format(", chi1 = {}", figures(verdict.chi1, 4));
  if (std::isfinite(verdict.critical_sigma_w)) {
    text += fmt::format("; critical sigma_w is {}", figures(verdict.critical_sigma_w, 4));
    if (verdict.critical_stability == theory::Stability::repelling) text += " (repelling)";
  }
  return text;
}

std::string measured(const Verdict& verdict) {
  if (verdict.fate == Fate::steady) {
    return fmt::format("x {} over {} layers", figures(std::pow(10, verdict.log10_total()), 3), verdict.depth);
  }
  return fmt::format("{}, depth scale {} layers", change(verdict), figures(verdict.depth_scale()));
}

/// Whether infinite width expects the gradient to go the other way: then its critical point is no goal.
bool contradicts_theory(const Verdict& verdict) {
  return verdict.fate == Fate::vanishes ? verdict.chi1 > 1 : verdict.chi1 < 1;
}

/// How this scheme is given the critical sigma_w: some fix the variance of the weights and have a gain, or
/// not even that.
std::string way_to_critical(const Verdict& verdict) {
  const std::string goal = figures(verdict.critical_sigma_w, 4);
  const auto scheme = std::ranges::find(nn::schemes(), verdict.scheme, &nn::SchemeRow::name);
  if (scheme == nn::schemes().end() || scheme->takes_sigma_w()) return "set sigma_w to " + goal;
  if (scheme->default_gain == 0) return "use scheme = \"gaussian\" with sigma_w = " + goal;
  return fmt::format("multiply the gain of {} by {} for a sigma_w of {}", scheme->name,
                     figures(verdict.critical_sigma_w / verdict.sigma_w, 4), goal);
}

std::string move_to_critical(const Verdict& verdict) {
  const double distance = std::abs(verdict.sigma_w / verdict.critical_sigma_w - 1);
  if (distance < 0.01) {
    return "sigma_w is already critical; what is left is finite width: widen the layers or use fewer of them";
  }
  if (contradicts_theory(verdict)) {
    return "infinite width expects the opposite, so no sigma_w is advised: widen the layers or use fewer of "
           "them";
  }
  const std::string now =
      std::isfinite(verdict.sigma_w) ? fmt::format(" (now {})", figures(verdict.sigma_w, 4)) : "";
  return way_to_critical(verdict) + now;
}

}  // namespace

std::string sentence(const Verdict& verdict) {
  switch (verdict.fate) {
    case Fate::unmeasured:
      return "not measured yet";
    case Fate::shallow:
      return fmt::format("no verdict: a slope needs {} interior layers with a gradient",
                         fewest_fitted_layers);
    case Fate::dead:
      return fmt::format("dead: in {} of {} seeds the gradient is exactly zero", verdict.dead_seeds,
                         verdict.seeds);
    default:
      break;
  }
  const std::string facts = listed(listed(measured(verdict), place(verdict)), some_dead(verdict));
  return fmt::format("{}: {}{}", name(verdict.fate), facts, of_theory(verdict));
}

std::string remedy(const Verdict& verdict) {
  if (verdict.fate == Fate::dead) return "widen the layers, or use an activation whose slope is nowhere zero";
  if (verdict.fate != Fate::vanishes && verdict.fate != Fate::explodes) return "";
  const bool is_goal = verdict.critical_stability != theory::Stability::repelling;
  if (std::isfinite(verdict.critical_sigma_w) && is_goal) return move_to_critical(verdict);
  const std::string_view why = is_goal ? "no critical sigma_w is known for this activation and sigma_b"
                                       : "the signal's size drifts away from the critical point";
  return fmt::format("{}: use another activation, normalisation or residual blocks", why);
}

}  // namespace gradflow::report
