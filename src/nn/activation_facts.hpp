#pragma once

#include <vector>

namespace gradflow::nn::formula {

/// Where packs may underflow although phi or phi' is not zero.
enum class Vanishing { never, slope, value_and_slope };

/// What theory and the row operations ask about an activation; each says only what differs from this.
struct Facts {
  static constexpr bool bounded = false;
  static constexpr bool positively_homogeneous = false;
  static constexpr bool periodic = false;  ///< the argument has to keep the bits of its phase
  static constexpr Vanishing vanishing = Vanishing::never;

  static double sup_slope(double) { return 1; }
  static bool slope_has_zeros(double) { return false; }    ///< phi' is 0 on an interval
  static std::vector<double> kinks(double) { return {}; }  ///< where a derivative of any order jumps
};

}  // namespace gradflow::nn::formula
