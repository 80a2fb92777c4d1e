#pragma once

#include <cstdint>
#include <span>

#include "gradflow/core/failure.hpp"

namespace gradflow {

/// A sample is shifted when its largest magnitude leaves 2^-16 .. 2^16.
inline constexpr int rescale_bits = 16;
/// Exponents of samples stay within +-2^30, so that sums of two of them fit.
inline constexpr std::int32_t largest_exponent = std::int32_t(1) << 30;

// Rows here are whole padded rows of a Signal: 64-byte aligned, a multiple of 16 long, zero in the padding.

/// The largest |v|; infinity or NaN if there is one.
template <class Real>
Real max_abs(std::span<const Real> v);

/// Keeps the sample `v * 2^exponent` in range: if max|v| is outside 2^-16 .. 2^16 it is brought to [1, 2) by
/// a power of two. Exact for elements above 2^-125 (float64: 2^-1021) of the largest. A zero sample gets
/// exponent 0.
/// @return non_finite for an infinity or NaN, exponent_overflow if |exponent| would leave 2^30; `v` is then
/// as it was
template <class Real>
FailureCode rescale(std::span<Real> v, std::int32_t& exponent);

/// The same where the largest |v| is known, in which case most samples are not touched at all.
template <class Real>
FailureCode rescale(std::span<Real> v, std::int32_t& exponent, Real largest);

}  // namespace gradflow
