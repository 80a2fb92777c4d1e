#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <type_traits>

#include "gradflow/core/scaled.hpp"
#include "gradflow/core/simd.hpp"

/// The two kinds of number the formulas of activations are written for: packs, which are fast, and Scaled,
/// which cannot under- or overflow. Each formula is written once.
namespace gradflow::nn::formula {

using simd::abs;
using simd::atan;
using simd::constant;
using simd::cos;
using simd::erf;
using simd::erfc;
using simd::exp;
using simd::expm1;
using simd::log1p;
using simd::max;
using simd::min;
using simd::mul_add;
using simd::negative;
using simd::product_error;
using simd::select;
using simd::sin;
using simd::tanh;

template <class V>
V number(double x) {
  if constexpr (std::is_same_v<V, Scaled>) {
    return Scaled::of(x);
  } else if constexpr (std::is_same_v<V, double>) {
    return x;
  } else {
    return constant<V>(x);
  }
}

/// A constant of 106 bits.
struct TwoWords {
  double high;
  double low;
};

/// What number<W>(c.high) leaves of c.
template <class W>
W rest_of_number(TwoWords c) {
  if constexpr (std::is_same_v<W, double> || std::is_same_v<W, Scaled>) {
    return number<W>(c.low);
  } else {
    return number<W>((c.high - simd::Element<W>(c.high)) + c.low);
  }
}

inline Scaled abs(Scaled x) { return {std::abs(x.mantissa), x.exponent}; }
inline Scaled select(bool condition, Scaled yes, Scaled no) { return condition ? yes : no; }
inline Scaled max(Scaled a, Scaled b) { return a < b ? b : a; }
inline Scaled min(Scaled a, Scaled b) { return b < a ? b : a; }
inline Scaled mul_add(Scaled a, Scaled b, Scaled c) { return a * b + c; }
inline double abs(double x) { return std::abs(x); }
inline double negative(double x) { return -x; }
inline double product_error(double a, double b, double p) { return std::fma(a, b, -p); }

/// exp(high + low) for |low| far below 1, as mantissa and exponent. Beyond +-2^60 the exponent stays there:
/// whoever stores it finds that it does not fit.
inline Scaled exp_of_sum(double high, double low) {
  constexpr double ln2_high = std::numbers::ln2, ln2_low = 2.3190468138462996e-17;
  constexpr double most = 0x1p60;
  if (!(std::abs(high) < most)) return {1, high < 0 ? -std::int64_t(most) : std::int64_t(most)};
  const double power = std::nearbyint(high * std::numbers::log2e);
  const double rest = std::fma(-power, ln2_low, std::fma(-power, ln2_high, high)) + low;
  return Scaled::of(std::exp(rest), std::int64_t(power));
}

/// The same on packs; exp alone would feel the rounding of an argument of -80 as 80 roundings.
template <class P>
P exp_of_sum(P high, P low) {
  const P first = exp(high);
  return mul_add(first, low, first);
}

inline Scaled exp(Scaled x) { return exp_of_sum(x.value(), 0.0); }

inline Scaled expm1(Scaled x) {
  return abs(x) < number<Scaled>(1e-17) ? x : Scaled::of(std::expm1(x.value()));
}

inline Scaled log1p(Scaled x) {
  return abs(x) < number<Scaled>(1e-17) ? x : Scaled::of(std::log1p(x.value()));
}

/// x cut to where products of a few x stay finite and every exponential tail of a pack has long vanished.
template <class P>
P cut(P x) {
  return max(number<P>(-64), min(number<P>(64), x));
}
inline Scaled cut(Scaled x) { return x; }

/// The same, as a number whose rounding errors product_error knows.
template <class P>
P word(P x) {
  return cut(x);
}
inline double word(Scaled x) { return std::clamp(x.value(), -1e75, 1e75); }

/// exp(-c x^2) without the rounding error of the square. @pre c is a power of two
template <class V>
V gaussian(V x, double c) {
  const auto u = word(x);
  using W = std::remove_const_t<decltype(u)>;
  const W square = u * u, factor = number<W>(-c);
  return exp_of_sum(factor * square, factor * product_error(u, u, square));
}

/// 1/(1 + e^-x), right to rounding in both tails.
template <class V>
V logistic(V x) {
  const V one = number<V>(1);
  const V t = exp(number<V>(-1) * abs(x));
  return select(x < number<V>(0), t, one) / (one + t);
}

}  // namespace gradflow::nn::formula
