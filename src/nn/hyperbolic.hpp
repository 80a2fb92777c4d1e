#pragma once

#include <type_traits>

#include "formula_numbers.hpp"

/// tanh and its slope; on packs of float32 both come from t = e^-2|x| and one division.
///
/// At most 2 (tanh) and 3 (slope) units in the last place off. On one AVX-512 core they take 0.72 and 0.61 of
/// the time of SLEEF's tanh and of SLEEF's exp with the same division: a narrow layer spends as much on
/// activations as on half a product. Only + - * / and mul_add, so the bits depend on nothing but whether
/// mul_add is fused. Polynomials: least squares on Chebyshev nodes, weighted for the relative error (4e-9).
namespace gradflow::nn::formula {

using Floats = simd::Pack<float>;

/// Horner's scheme, highest power first.
template <std::size_t n>
HWY_INLINE Floats horner(Floats x, const double (&coefficients)[n]) {
  Floats sum = constant<Floats>(coefficients[0]);
  for (std::size_t i = 1; i < n; ++i) sum = simd::mul_add(sum, x, constant<Floats>(coefficients[i]));
  return sum;
}

/// 2^k where k + 127 stands in the lowest bits of a number near 1.5 * 2^23.
HWY_INLINE Floats power_of_two(Floats shifted) {
  const auto bits = simd::hn::BitCast(simd::Tag<std::int32_t>(), shifted);
  return simd::hn::BitCast(simd::Tag<float>(), simd::hn::ShiftLeft<23>(bits));
}

/// 2^shift e^-2y for y >= 0; 0 where that would be no normal number.
template <int shift>
HWY_INLINE Floats decay(Floats y) {
  constexpr double ln2 = 0.69314718055994531, round = 0x1.8p23 + 127 + shift;
  const Floats shifted = simd::mul_add(y, constant<Floats>(-2 / ln2), constant<Floats>(round));
  const Floats n = shifted - constant<Floats>(round);
  // -2y = n ln 2 + r in two steps, of which the first is exact: ln 2 = 0.693359375 - 2.12194440e-4.
  const Floats coarse = simd::mul_add(n, constant<Floats>(-0.693359375), simd::negative(y + y));
  const Floats r = simd::mul_add(n, constant<Floats>(2.12194440054690583e-4), coarse);
  const Floats power =
      horner(r, {0.00139467552523, 0.00836934381807, 0.0416662587988, 0.166665143692, 0.500000008211, 1, 1});
  return select(y > constant<Floats>((126 + shift) * ln2 / 2), constant<Floats>(0),
                power_of_two(shifted) * power);
}

template <class V>
HWY_INLINE V hyperbolic_tangent(V x) {
  if constexpr (!std::is_same_v<V, Floats>) {
    return tanh(x);
  } else {
    const V size = abs(x), square = x * x, one = constant<V>(1);
    const V twice = decay<1>(size);
    const V far = one - twice / simd::mul_add(twice, constant<V>(0.5), one);  // 1 - 2t/(1 + t)
    const V odd = horner(
        square, {-0.0058939468664, 0.0207946191732, -0.0537832934831, 0.133319153053, -0.333332975104});
    const V near = simd::mul_add(x * square, odd, x);
    return select(size < constant<V>(0.6), near, simd::copy_sign(far, x));
  }
}

/// sech^2 x = 4t/(1+t)^2, t = e^-2|x|.
template <class V>
HWY_INLINE V sech_squared(V x) {
  if constexpr (!std::is_same_v<V, Floats>) {
    const V t = exp(number<V>(-2) * abs(x));
    const V s = number<V>(1) + t;
    return number<V>(4) * t / (s * s);
  } else {
    const V four = decay<2>(abs(x));  // 4t is normal wherever the slope is
    const V square = simd::mul_add(   // ((1 + t)/2)^2, rounded twice
        four, simd::mul_add(four, constant<V>(1.0 / 64), constant<V>(0.125)), constant<V>(0.25));
    return constant<V>(0.25) * four / square;
  }
}

}  // namespace gradflow::nn::formula
