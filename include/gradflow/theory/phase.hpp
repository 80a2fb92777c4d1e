#pragma once

#include <limits>
#include <string_view>

#include "gradflow/nn/activation.hpp"

/// Order, chaos and the line between them.
namespace gradflow::theory {

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
  double q = std::numeric_limits<double>::quiet_NaN();
  Stability stability = Stability::none;
};

/// The fixed point that a deep network reaches from q_1 = sigma_w^2 E h_0^2 + sigma_b^2: there may be
/// several, or none on this side of a repelling one. It is attracting, unless q begins on 0 and stays.
/// @param input_square  E h_0^2 >= 0
FixedPoint q_fixed_point(const nn::Activation& phi, double sigma_w, double sigma_b, double input_square = 1);

/// How many layers a deviation takes to shrink by e; NaN where undefined, infinity where it does not shrink
/// exponentially.
struct DepthScales {
  double q = 0;  ///< xi_q = -1 / ln dq'/dq at q*
  double c = 0;  ///< xi_c = -1 / ln dc'/dc at c*, the attracting fixed point of the correlation map in [0, 1]
  double gradient = 0;  ///< xi_grad = 1 / |ln chi1|: of E (dE/dz)^2, shrinking or growing
};

/// All that theory says of infinitely deep layers of one kind: at q*, or for q -> infinity where q grows for
/// ever. NaN where it says nothing, as of the correlation of signals that are 0.
struct Asymptotics {
  FixedPoint fixed_point;
  double chi1 = 0;
  double c_star = 0;
  DepthScales depth_scale;
};

/// Any finite sigma_w, sigma_b >= 0. @param input_square  E h_0^2 >= 0
Asymptotics asymptotics(const nn::Activation& phi, double sigma_w, double sigma_b, double input_square = 1);

/// The sigma_w at which chi1 = 1 at a fixed point q*, for this sigma_b.
struct CriticalPoint {
  double sigma_w = 0;  ///< NaN if there is none
  double q = 0;        ///< q* there; NaN if there is none, as on a marginal line with sigma_b > 0
  Stability stability = Stability::none;
};

/// The attracting critical point, that of the lowest q* if there are several; else the repelling one; else
/// none. q* is looked for up to 2^110.
CriticalPoint critical_sigma_w(const nn::Activation& phi, double sigma_b);

}  // namespace gradflow::theory
