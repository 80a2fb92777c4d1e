#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "activation_facts.hpp"
#include "normal_tail.hpp"

/// Smooth relatives of the rectifier; see piecewise_formulas.hpp for what each function means.
namespace gradflow::nn::formula {

template <class V>
V non_positive(V x) {
  return min(number<V>(0), x);
}

/// (1 + t)^2 with two roundings. @pre 0 <= t <= 1
template <class V>
V square_of_one_plus(V t) {
  return mul_add(t, number<V>(2) + t, number<V>(1));
}

struct Elu : Facts {  // p (e^x - 1) below 0. Clevert, Unterthiner, Hochreiter (2016)
  static constexpr Vanishing vanishing = Vanishing::value_and_slope;
  static double sup_slope(double p) { return std::max(1.0, std::abs(p)); }
  static bool slope_has_zeros(double p) { return p == 0; }
  static std::vector<double> kinks(double) { return {0}; }

  template <class V>
  static V value(V x, V p) {
    return select(number<V>(0) < x, x, p * expm1(non_positive(x)));
  }
  template <class V>
  static V ratio(V x, V p) {  // asked near 0 only
    return select(number<V>(0) < x, number<V>(1), p);
  }
  template <class V>
  static V far(V v, V x, V inverse, V p) {
    return select(number<V>(0) < v, v, p * expm1(non_positive(x)) * inverse);
  }
  template <class V>
  static V slope(V x, V p) {
    return select(number<V>(0) < x, number<V>(1), p * exp(non_positive(x)));
  }
};

struct Selu : Facts {  // Klambauer et al. (2017)
  static constexpr Vanishing vanishing = Vanishing::value_and_slope;
  static constexpr double scale = 1.0507009873554804934, alpha = 1.6732632423543772848;
  static double sup_slope(double) { return scale * alpha; }
  static std::vector<double> kinks(double) { return {0}; }

  template <class V>
  static V value(V x, V) {
    return number<V>(scale) * Elu::value(x, number<V>(alpha));
  }
  template <class V>
  static V ratio(V x, V) {
    return number<V>(scale) * Elu::ratio(x, number<V>(alpha));
  }
  template <class V>
  static V far(V v, V x, V inverse, V) {
    return number<V>(scale) * Elu::far(v, x, inverse, number<V>(alpha));
  }
  template <class V>
  static V slope(V x, V) {
    return number<V>(scale) * Elu::slope(x, number<V>(alpha));
  }
};

struct Softplus : Facts {  // log(1 + e^x)
  static constexpr Vanishing vanishing = Vanishing::value_and_slope;

  template <class V>
  static V value(V x, V) {
    return max(number<V>(0), x) + log1p(exp(number<V>(-1) * abs(x)));
  }
  template <class V>
  static V far(V v, V x, V inverse, V) {
    return max(number<V>(0), v) + log1p(exp(number<V>(-1) * abs(x))) * inverse;
  }
  template <class V>
  static V slope(V x, V) {
    return logistic(x);
  }
};

struct Gelu : Facts {  // x Phi(x). Hendrycks, Gimpel (2016)
  static constexpr Vanishing vanishing = Vanishing::value_and_slope;
  static double sup_slope(double) { return 1.1289041451851547863; }  // at sqrt(2)

  template <class V>
  static V value(V x, V p) {
    return x * ratio(x, p);
  }
  template <class V>
  static V ratio(V x, V) {
    const V tail = gaussian(x, 0.5) * tail_over_gaussian(abs(x));
    return select(x < number<V>(0), tail, number<V>(1) - tail);
  }
  template <class V>
  static V slope(V x, V) {  // Phi(x) + x exp(-x^2/2)/sqrt(2 pi), the Gaussian put outside
    const V tail = gaussian(x, 0.5) * slope_tail_over_gaussian(abs(x));
    return select(x < number<V>(0), tail, number<V>(1) - tail);
  }
};

struct Silu : Facts {  // x s(x)
  static constexpr Vanishing vanishing = Vanishing::value_and_slope;
  static double sup_slope(double) { return 1.0998393201288669170; }  // at 2.3994

  template <class V>
  static V value(V x, V) {
    return x * logistic(x);
  }
  template <class V>
  static V ratio(V x, V) {
    return logistic(x);
  }
  template <class V>
  static V slope(V x, V) {  // s(x) (1 + x s(-x)) over one denominator: near its zero, -1.278, 1 + x is exact
    const V one = number<V>(1), t = exp(number<V>(-1) * abs(x));
    const V top = select(x < number<V>(0), t * ((one + x) + t), mul_add(t, one + x, one));
    return top / square_of_one_plus(t);
  }
};

struct GeluTanh : Facts {  // x s(w), w = x (a + b x^2): the tanh form of gelu, (1 + tanh(w/2))/2 being s(w)
  static constexpr Vanishing vanishing = Vanishing::value_and_slope;
  static double sup_slope(double) { return 1.1289930686587717655; }          // at 1.4185
  static constexpr TwoWords a{1.5957691216057308, -9.96930880911092e-17};    // 2 sqrt(2/pi)
  static constexpr TwoWords b{0.07135481627260025, -6.175149918155315e-19};  // 0.044715 a

  /// e^-|w| with w in two words: at w = -80 its rounding would cost 80 roundings.
  template <class V>
  static V decay(V x) {
    const auto u = abs(word(x));
    using W = std::remove_const_t<decltype(u)>;
    const W square = u * u, bend = number<W>(b.high) * square;
    const W sum = number<W>(a.high) + bend, part = sum - number<W>(a.high);
    const W low = (number<W>(a.high) - (sum - part)) + (bend - part) + rest_of_number<W>(a) +
                  product_error(number<W>(b.high), square, bend) +
                  number<W>(b.high) * product_error(u, u, square) + rest_of_number<W>(b) * square;
    const W w = u * sum;
    return exp_of_sum(negative(w), negative(product_error(u, sum, w) + u * low));
  }

  template <class V>
  static V value(V x, V p) {
    return x * ratio(x, p);
  }
  template <class V>
  static V ratio(V x, V) {
    const V one = number<V>(1), t = decay(x);
    return select(x < number<V>(0), t, one) / (one + t);
  }
  template <class V>
  static V slope(V x, V) {  // s(w) (1 + x w' s(-w)) = s(w) s(-w) (1 + x w' + e^-w): it has a zero, -0.752
    const V one = number<V>(1), t = decay(x), u = cut(x);
    const V bend = u * mul_add(number<V>(3 * b.high), u * u, rest_of_number<V>(a));
    const V one_u_dw = mul_add(u, number<V>(a.high), one) + bend;
    const V top = select(x < number<V>(0), t * (one_u_dw + t), mul_add(t, one_u_dw, one));
    return top / square_of_one_plus(t);
  }
};

struct Mish : Facts {  // x tanh(log(1 + e^x)). Misra (2019)
  static constexpr Vanishing vanishing = Vanishing::value_and_slope;
  static double sup_slope(double) { return 1.0884981612517278612; }  // at 1.4906

  /// tanh(softplus(x)) = n/(n + 2), n = u(u + 2), u = e^x; with w = e^-x for x > 0, where u overflows.
  template <class V>
  static V ratio(V x, V) {
    const V t = exp(number<V>(-1) * abs(x)), two = number<V>(2);
    const V top = select(x < number<V>(0), t * (t + two), number<V>(1) + two * t);
    return top / (top + select(x < number<V>(0), two, two * t * t));
  }
  template <class V>
  static V value(V x, V p) {
    return x * ratio(x, p);
  }
  template <class V>
  static V slope(V x, V) {
    const V one = number<V>(1), two = number<V>(2), four = number<V>(4), eight = number<V>(8);
    const V t = exp(number<V>(-1) * abs(x));
    // t (t + 2) (t^2 + 2t + 2) + 4 x t (1 + t), so that 1 + x is exact near the zero, -1.192
    const V below = t * mul_add(t, mul_add(t, four + t, mul_add(four, x, number<V>(6))), four * (one + x));
    const V right = mul_add(two * t, one + t, one);
    const V above = mul_add(four * (x * t), (one + t) * t, mul_add(two, t, one) * right);
    // The squares of t^2 + 2t + 2 and of 2t^2 + 2t + 1, in powers of t.
    const V bottom_below = mul_add(t, mul_add(t, mul_add(t, four + t, eight), eight), four);
    const V bottom_above = mul_add(t, mul_add(t, mul_add(t, mul_add(four, t, eight), eight), four), one);
    return select(x < number<V>(0), below, above) / select(x < number<V>(0), bottom_below, bottom_above);
  }
};

}  // namespace gradflow::nn::formula
