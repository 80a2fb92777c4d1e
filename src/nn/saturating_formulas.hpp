#pragma once

#include <numbers>

#include "activation_facts.hpp"
#include "formula_numbers.hpp"
#include "hyperbolic.hpp"

/// Bounded activations; see piecewise_formulas.hpp for what each function means.
///
/// Slopes come from x, never from phi(x): 1 - tanh(x)^2 has no digits left where tanh has reached 1.
namespace gradflow::nn::formula {

struct Tanh : Facts {
  static constexpr bool bounded = true;
  static constexpr Vanishing vanishing = Vanishing::slope;

  template <class V>
  static V value(V x, V) {
    return hyperbolic_tangent(x);
  }
  template <class V>
  static V ratio(V, V) {
    return number<V>(1);
  }
  template <class V>
  static V slope(V x, V) {
    return sech_squared(x);
  }
};

struct Sigmoid : Facts {
  static constexpr bool bounded = true;
  static constexpr Vanishing vanishing = Vanishing::value_and_slope;
  static double sup_slope(double) { return 0.25; }

  template <class V>
  static V value(V x, V) {
    return logistic(x);
  }
  template <class V>
  static V slope(V x, V) {  // s(x) s(-x)
    const V t = exp(number<V>(-1) * abs(x));
    const V s = number<V>(1) + t;
    return t / (s * s);
  }
};

struct Erf : Facts {
  static constexpr bool bounded = true;
  static constexpr Vanishing vanishing = Vanishing::slope;
  static constexpr double slope_at_zero = 2 * std::numbers::inv_sqrtpi;
  static double sup_slope(double) { return slope_at_zero; }

  template <class V>
  static V value(V x, V) {
    return erf(x);
  }
  template <class V>
  static V ratio(V, V) {
    return number<V>(slope_at_zero);
  }
  template <class V>
  static V slope(V x, V) {
    return number<V>(slope_at_zero) * gaussian(x, 1);
  }
};

struct Sin : Facts {
  static constexpr bool bounded = true;
  static constexpr bool periodic = true;

  template <class V>
  static V value(V x, V) {
    return sin(x);
  }
  template <class V>
  static V ratio(V, V) {
    return number<V>(1);
  }
  template <class V>
  static V slope(V x, V) {
    return cos(x);
  }
};

struct Softsign : Facts {  // x / (1 + |x|)
  static constexpr bool bounded = true;
  static constexpr Vanishing vanishing = Vanishing::slope;
  static std::vector<double> kinks(double) { return {0}; }

  template <class V>
  static V value(V x, V) {
    return x / (number<V>(1) + abs(x));
  }
  template <class V>
  static V ratio(V, V) {
    return number<V>(1);
  }
  template <class V>
  static V slope(V x, V) {
    const V r = number<V>(1) / (number<V>(1) + abs(x));
    return r * r;
  }
};

struct Arctan : Facts {
  static constexpr bool bounded = true;
  static constexpr Vanishing vanishing = Vanishing::slope;

  template <class V>
  static V value(V x, V) {
    return atan(x);
  }
  template <class V>
  static V ratio(V, V) {
    return number<V>(1);
  }
  template <class V>
  static V slope(V x, V) {
    return number<V>(1) / (number<V>(1) + x * x);
  }
};

}  // namespace gradflow::nn::formula
