#pragma once

#include <algorithm>
#include <cmath>

#include "activation_facts.hpp"
#include "formula_numbers.hpp"

/// Activations made of straight lines and parabolas.
///
/// Each activation is a struct of formulas on a number type V (packs or Scaled), p being its parameter:
///   value  phi(x)
///   slope  phi'(x); at a kink as PyTorch has it
///   ratio  phi(x)/x, where phi(0) = 0. Bounded ones are asked only below 2^-40, where it is phi'(0) to
///   rounding. far    phi(v 2^e) / 2^e for e > 60, from x = v 2^e and inverse = 2^-e, where v * ratio(x) will
///   not do.
namespace gradflow::nn::formula {

struct Linear : Facts {
  static constexpr bool positively_homogeneous = true;

  template <class V>
  static V value(V x, V) {
    return x;
  }
  template <class V>
  static V ratio(V, V) {
    return number<V>(1);
  }
  template <class V>
  static V slope(V, V) {
    return number<V>(1);
  }
};

struct Relu : Facts {
  static constexpr bool positively_homogeneous = true;
  static bool slope_has_zeros(double) { return true; }
  static std::vector<double> kinks(double) { return {0}; }

  template <class V>
  static V value(V x, V) {
    return max(number<V>(0), x);
  }
  template <class V>
  static V ratio(V x, V p) {
    return slope(x, p);
  }
  template <class V>
  static V slope(V x, V) {
    return select(number<V>(0) < x, number<V>(1), number<V>(0));
  }
};

struct LeakyRelu : Facts {  // p x below 0
  static constexpr bool positively_homogeneous = true;
  static constexpr Vanishing vanishing = Vanishing::value_and_slope;
  static double sup_slope(double p) { return std::max(1.0, std::abs(p)); }
  static bool slope_has_zeros(double p) { return p == 0; }
  static std::vector<double> kinks(double) { return {0}; }

  template <class V>
  static V value(V x, V p) {
    return select(number<V>(0) < x, x, p * x);
  }
  template <class V>
  static V ratio(V x, V p) {
    return slope(x, p);
  }
  template <class V>
  static V slope(V x, V p) {
    return select(number<V>(0) < x, number<V>(1), p);
  }
};

struct HardTanh : Facts {
  static constexpr bool bounded = true;
  static bool slope_has_zeros(double) { return true; }
  static std::vector<double> kinks(double) { return {-1, 1}; }

  template <class V>
  static V value(V x, V) {
    return max(number<V>(-1), min(number<V>(1), x));
  }
  template <class V>
  static V ratio(V, V) {
    return number<V>(1);
  }
  template <class V>
  static V slope(V x, V) {
    return select(abs(x) < number<V>(1), number<V>(1), number<V>(0));
  }
};

struct HardSwish : Facts {  // x min(max(x + 3, 0), 6) / 6
  static double sup_slope(double) { return 1.5; }
  static bool slope_has_zeros(double) { return true; }
  static std::vector<double> kinks(double) { return {-3, 3}; }

  template <class V>
  static V value(V x, V p) {
    return x * ratio(x, p);
  }
  template <class V>
  static V ratio(V x, V) {
    return min(number<V>(6), max(number<V>(0), x + number<V>(3))) / number<V>(6);
  }
  template <class V>
  static V slope(V x, V) {
    const V three = number<V>(3);
    const V inside = (x + x + three) / number<V>(6);
    const V one_side = select(x < number<V>(-3), number<V>(0), inside);
    return select(three < x, number<V>(1), one_side);
  }
};

}  // namespace gradflow::nn::formula
