#pragma once

#include <limits>

#include "activation_facts.hpp"
#include "activation_kernels.hpp"
#include "formula_numbers.hpp"

/// Rows of packs out of formulas on packs.
namespace gradflow::nn {

/// f(j, mask) for each pack of a row: its first column and the lanes that hold units.
template <class Real, class F>
void each_pack(int width, F f) {
  const auto all = simd::first_lanes<Real>(simd::lanes<Real>);
  int j = 0;
  for (; j + simd::lanes<Real> <= width; j += simd::lanes<Real>) f(j, all);
  if (j < width) f(j, simd::first_lanes<Real>(width - j));
}

/// Beyond every activation is at its asymptote, and a few products of it with a tail stay finite.
template <class Real>
inline constexpr Real largest_argument = std::numeric_limits<Real>::max() / 16;

template <class Real>
simd::Pack<Real> argument(const ArgumentScale<Real>& scale, simd::Pack<Real> z) {
  using P = simd::Pack<Real>;
  const P x = z * simd::constant<P>(scale.first) * simd::constant<P>(scale.second);
  const P most = simd::constant<P>(largest_argument<Real>);
  return simd::min(most, simd::max(simd::negative(most), x));  // in this order a NaN stays one
}

/// h = formula(z, x, 2^-e, p).
template <class Real, class Formula>
Real forward_row(const ArgumentScale<Real>& scale, const Real* z, int width, Real* h, double parameter) {
  using P = simd::Pack<Real>;
  const P p = simd::constant<P>(parameter), inverse = simd::constant<P>(scale.inverse);
  simd::LargestMagnitude<Real> largest;
  each_pack<Real>(width, [&](int j, auto units) {
    const P v = simd::load(z + j);
    const P y = simd::keep(units, Formula::of(v, argument(scale, v), inverse, p));
    largest.add(y);
    simd::store(y, h + j);
  });
  return largest.value();
}

template <class A>
struct Value {
  template <class P>
  static P of(P, P x, P, P p) {
    return A::value(x, p);
  }
};

template <class A>
struct Ratio {
  template <class P>
  static P of(P v, P x, P, P p) {
    return v * A::ratio(x, p);
  }
};

template <class A>
concept HasFarForm = requires(simd::Pack<float> x) {
  A::far(x, x, x, x);
};

template <class A>
concept HasRatio = requires(simd::Pack<float> x) {
  A::ratio(x, x);
};

template <class A>
struct Far {
  template <class P>
  static P of(P v, P x, P inverse, P p) {
    return A::far(v, x, inverse, p);
  }
};

template <class Real, class A>
SlopeSweep<Real> slope_row(const ArgumentScale<Real>& scale, const Real* z, int width, Real* d,
                           double parameter, double threshold, bool zero_is_exact) {
  using P = simd::Pack<Real>;
  const P p = simd::constant<P>(parameter), limit = simd::constant<P>(threshold);
  const P zero = simd::constant<P>(0);
  simd::LargestMagnitude<Real> largest;
  SlopeSweep<Real> sweep;
  auto lost = zero != zero;
  each_pack<Real>(width, [&](int j, auto units) {
    const P gradient = simd::load(d + j);
    const P slope = A::slope(argument(scale, simd::load(z + j)), p);
    const P product = gradient * slope;
    largest.add(product);
    sweep.saturated += simd::count<Real>(simd::both(units, simd::abs(slope) < limit));
    auto vanished = simd::both(gradient != zero, product == zero);
    if (zero_is_exact) vanished = simd::both(vanished, slope != zero);
    lost = simd::either(lost, vanished);
    simd::store(product, d + j);
  });
  sweep.lost = simd::count<Real>(lost) > 0;
  sweep.largest = largest.value();
  return sweep;
}

template <class Real, class A>
std::int64_t saturated_row(const ArgumentScale<Real>& scale, const Real* z, int width, double parameter,
                           double threshold) {
  using P = simd::Pack<Real>;
  const P p = simd::constant<P>(parameter), limit = simd::constant<P>(threshold);
  std::int64_t saturated = 0;
  each_pack<Real>(width, [&](int j, auto units) {
    const P slope = A::slope(argument(scale, simd::load(z + j)), p);
    saturated += simd::count<Real>(simd::both(units, simd::abs(slope) < limit));
  });
  return saturated;
}

template <class Real, class A>
Real value_at(Real x, double parameter) {
  using P = simd::Pack<Real>;
  return simd::first(A::value(argument<Real>({}, simd::constant<P>(x)), simd::constant<P>(parameter)));
}

template <class Real, class A>
Real slope_at(Real x, double parameter) {
  using P = simd::Pack<Real>;
  return simd::first(A::slope(argument<Real>({}, simd::constant<P>(x)), simd::constant<P>(parameter)));
}

/// The kernels of the formulas A.
template <class Real, class A>
inline constexpr ActivationKernels<Real> kernels = [] {
  ActivationKernels<Real> k{};
  k.value = forward_row<Real, Value<A>>;
  if constexpr (HasRatio<A>) k.ratio = forward_row<Real, Ratio<A>>;
  if constexpr (HasFarForm<A>) {
    k.far = forward_row<Real, Far<A>>;
  } else if constexpr (!A::bounded) {
    k.far = k.ratio;
  }
  k.slope = slope_row<Real, A>;
  k.saturated = saturated_row<Real, A>;
  k.value_at = value_at<Real, A>;
  k.slope_at = slope_at<Real, A>;
  if constexpr (A::vanishing == formula::Vanishing::value_and_slope)
    k.scaled_value = A::template value<Scaled>;
  if constexpr (A::vanishing != formula::Vanishing::never) k.scaled_slope = A::template slope<Scaled>;
  k.periodic = A::periodic;
  return k;
}();

}  // namespace gradflow::nn
