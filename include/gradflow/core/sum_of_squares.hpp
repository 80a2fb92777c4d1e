#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "gradflow/core/simd.hpp"

namespace gradflow {

/// Sum of v^2 in float64: 64 interleaved sums, added in one fixed tree, so that neither compiler nor vector
/// width has an order to choose.
/// @pre padded rows: aligned, a multiple of 16 long
template <class Real>
double sum_of_squares(std::span<const Real> values) {
  using Wide = simd::Pack<double>;
  constexpr std::size_t width = simd::lanes<double>, block = 16 / width, packs = 4 * block;
  std::array<Wide, packs> sums;
  sums.fill(simd::constant<Wide>(0));
  const auto add = [&](std::size_t pack, const Real* from) {
    const Wide v = simd::load_double(from);
    // The square of a float32 number is exact in float64: fused or not, the sum has the same bits.
    sums[pack] = sizeof(Real) == 4 ? simd::mul_add(v, v, sums[pack]) : sums[pack] + v * v;
  };
  std::size_t j = 0;
  for (; j + 64 <= values.size(); j += 64) {
    for (std::size_t p = 0; p < packs; ++p) add(p, &values[j + p * width]);
  }
  for (; j < values.size(); j += 16) {
    for (std::size_t p = 0; p < block; ++p) add(p, &values[j + p * width]);
  }
  for (std::size_t half = packs / 2; half > 0; half /= 2) {
    for (std::size_t p = 0; p < half; ++p) sums[p] = sums[p] + sums[p + half];
  }
  return simd::folded_sum(sums[0]);
}

}  // namespace gradflow
