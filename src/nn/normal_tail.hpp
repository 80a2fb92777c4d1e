#pragma once

#include <array>

#include "formula_numbers.hpp"

namespace gradflow::nn::formula {

/// Polynomials P with Phi(-y) = exp(-y^2/2) * 4/(4+y) * P((4-y)/(4+y)) for every y >= 0, highest power first:
/// Chebyshev interpolation in 40 digits, relative error 3.9e-9 (float32) and 1.3e-16 (float64). The form
/// follows Shepherd and Laframboise (1981): the exponential carries the whole decay, what is left is smooth
/// up to infinity.
inline constexpr std::array normal_tail_float32{
    -5.49476085365291342e-6, -4.31498073072358662e-7, 5.44427664127794909e-5, 3.34101065584872072e-5,
    -4.06061909315419745e-4, -8.69985756450083719e-4, 1.88467219498794553e-3, 1.50991609995438817e-2,
    4.66304962319325628e-2,  9.6784348604778383e-2,   1.51974160053195839e-1, 1.88821282626158464e-1};
inline constexpr std::array normal_tail_float64{
    3.73411861121370071e-11, -4.21462035796333255e-10, 1.04437159678754311e-10, 4.0129855653383882e-9,
    -4.35478143120619183e-9, -1.9686735940127549e-8,   3.97910986444693299e-8,  6.61711401515470591e-8,
    -2.56059224837441653e-7, -1.56228541899473898e-7,  1.48032235558760931e-6,  1.78645064746101342e-7,
    -8.78624703291877921e-6, -4.76917128312171854e-7,  5.77737466871404934e-5,  3.3336051887880912e-5,
    -4.07704615694742571e-4, -8.69923089112694051e-4,  1.88504724174915579e-3,  1.509914372258702e-2,
    4.66304644899129431e-2,  9.67843501855567305e-2,   1.51974160492973031e-1,  1.88821282603937863e-1};

/// Phi(-y) / exp(-y^2/2), which falls only like 1/y. @pre y >= 0
template <class P>
P tail_over_gaussian(P y) {
  const P four = number<P>(4);
  const P t = four / (four + y), s = (four - y) / (four + y);
  const auto evaluate = [&](const auto& coefficients) {
    P sum = number<P>(coefficients[0]);
    for (std::size_t i = 1; i < coefficients.size(); ++i) {
      sum = simd::mul_add(sum, s, number<P>(coefficients[i]));
    }
    return t * sum;
  };
  if constexpr (sizeof(simd::Element<P>) == 4) {
    return evaluate(normal_tail_float32);
  } else {
    return evaluate(normal_tail_float64);
  }
}

inline Scaled tail_over_gaussian(Scaled y) {
  using P = simd::Pack<double>;
  return Scaled::of(simd::first(tail_over_gaussian(number<P>(word(y)))));
}

}  // namespace gradflow::nn::formula
