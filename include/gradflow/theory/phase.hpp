#pragma once

#include <limits>
#include <string_view>
#include <vector>

#include "gradflow/nn/activation.hpp"

/// Order, chaos and the line between them.
namespace gradflow::theory {

inline constexpr double not_known = std::numeric_limits<double>::quiet_NaN();

/// What the length map does near a fixed point.
enum class Stability {
  none,        ///< q reaches no fixed point
  attracting,  ///< q moves towards it
  repelling,   ///< q moves away from it
  marginal,    ///< neither: q' = q + sigma_b^2 (linear, relu and leaky_relu at their critical sigma_w)
};

std::string_view name(Stability stability);

/// Where the length map takes q: its fixed point q*.
///
/// 1, standing for every q, if the map is marginal; infinity and `none` if q grows for ever. As a double: a
/// fixed point out of its range is 0 or infinity, with its stability.
struct FixedPoint {
  double q = not_known;
  Stability stability = Stability::none;
};

/// The fixed point that a deep network reaches from q_1 = sigma_w^2 E h_0^2 + sigma_b^2: there may be
/// several, or none on this side of a repelling one. It is attracting, unless q begins on 0 and stays.
/// @param input_square  E h_0^2 >= 0
FixedPoint q_fixed_point(const nn::Activation& phi, double sigma_w, double sigma_b, double input_square = 1);

/// What depth does to gradients and to differences of inputs.
enum class Phase {
  unknown,   ///< theory says nothing
  ordered,   ///< chi1 < 1: gradients vanish, all inputs come to look alike
  critical,  ///< chi1 = 1 to 1e-6, so that no depth below a million layers can tell
  chaotic,   ///< chi1 > 1: gradients explode, inputs come apart
};

std::string_view name(Phase phase);

Phase phase_of(double chi1);

/// How many layers a deviation takes to shrink by e; NaN where undefined, infinity where it does not shrink
/// exponentially.
struct DepthScales {
  double q = not_known;         ///< xi_q = -1 / ln chi_parallel at q*
  double c = not_known;         ///< xi_c = -1 / ln dc'/dc at c*
  double gradient = not_known;  ///< xi_grad = 1 / |ln chi1|: of E (dE/dz)^2, shrinking or growing
};

/// All that theory says of infinitely deep layers of one kind: at q*, or for q -> infinity where q grows for
/// ever. NaN where it says nothing, as of the correlation of signals that are 0.
struct Asymptotics {
  FixedPoint fixed_point;
  double chi1 = not_known;    ///< factor of E (dE/dz)^2 per layer; the slope of the correlation map at 1
  double c_star = not_known;  ///< the attracting fixed point of the correlation map in [0, 1]
  DepthScales depth_scale{};
  double chi_parallel = not_known;  ///< dq'/dq: factor of a deviation from q* per layer
};

/// Any finite sigma_w, sigma_b >= 0. @param input_square  E h_0^2 >= 0
Asymptotics asymptotics(const nn::Activation& phi, double sigma_w, double sigma_b, double input_square = 1);

/// The sigma_w at which chi1 = 1 at a fixed point q*, for this sigma_b.
struct CriticalPoint {
  double sigma_w = not_known;  ///< NaN if there is none
  double q = not_known;        ///< q* there; NaN if there is none, as on a marginal line with sigma_b > 0
  Stability stability = Stability::none;
};

/// Every critical point at this sigma_b, ascending in q*: none (softplus), one, or several (gelu at small
/// sigma_b). As sigma_b grows from 0 they trace the critical line. q* is looked for up to 2^110.
std::vector<CriticalPoint> critical_points(const nn::Activation& phi, double sigma_b);

/// The attracting critical point, that of the lowest q* if there are several; else the repelling one; else
/// none.
CriticalPoint critical_sigma_w(const nn::Activation& phi, double sigma_b);

/// Where chi1 = 1 and chi_parallel = 1 at once: q* attracts from below and repels from above (Roberts, Yaida
/// & Hanin, The Principles of Deep Learning Theory).
struct HalfStablePoint {
  double sigma_w = not_known;
  double sigma_b = not_known;
  double q = not_known;
};

/// All of them with q* from 2^-10 to 2^10 and sigma_b^2 >= 0: gelu and silu have one; of most activations
/// there is none, or, where phi is a straight line (relu), every point is one and none is named.
std::vector<HalfStablePoint> half_stable_points(const nn::Activation& phi);

}  // namespace gradflow::theory
