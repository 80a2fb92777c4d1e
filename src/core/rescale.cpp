#include "gradflow/core/rescale.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gradflow/core/simd.hpp"

namespace gradflow {
namespace {

/// v * 2^power, in at most two factors because 2^149 is no float32; rounded once at most.
template <class Real>
void shift(std::span<Real> v, int power) {
  using P = simd::Pack<Real>;
  const int first = std::min(power, std::numeric_limits<Real>::max_exponent - 1);
  const P a = simd::constant<P>(std::ldexp(1.0, first));
  const P b = simd::constant<P>(std::ldexp(1.0, power - first));
  for (std::size_t j = 0; j < v.size(); j += simd::lanes<Real>) {
    simd::store(simd::load(&v[j]) * a * b, &v[j]);
  }
}

template <class Real>
FailureCode to_one(std::span<Real> v, std::int32_t& exponent, Real largest) {
  const int power = std::ilogb(largest);
  const std::int64_t shifted = std::int64_t(exponent) + power;
  if (std::abs(shifted) > largest_exponent) return FailureCode::exponent_overflow;
  if (power != 0) shift(v, -power);
  exponent = std::int32_t(shifted);
  return FailureCode::none;
}

FailureCode zero_sample(std::int32_t& exponent) {
  exponent = 0;
  return FailureCode::none;
}

}  // namespace

template <class Real>
Real max_abs(std::span<const Real> v) {
  simd::LargestMagnitude<Real> largest;
  for (std::size_t j = 0; j < v.size(); j += simd::lanes<Real>) largest.add(simd::load(&v[j]));
  return largest.value();
}

template <class Real>
FailureCode rescale(std::span<Real> v, std::int32_t& exponent, Real largest) {
  constexpr Real least = Real(1) / (1 << rescale_bits), most = Real(1 << rescale_bits);
  if (!std::isfinite(largest)) return FailureCode::non_finite;
  if (largest == 0) return zero_sample(exponent);
  if (least <= largest && largest <= most && std::abs(std::int64_t(exponent)) <= largest_exponent) {
    return FailureCode::none;
  }
  return to_one(v, exponent, largest);
}

template <class Real>
FailureCode rescale(std::span<Real> v, std::int32_t& exponent) {
  return rescale(v, exponent, max_abs<Real>(v));
}

template float max_abs(std::span<const float>);
template double max_abs(std::span<const double>);
template FailureCode rescale(std::span<float>, std::int32_t&);
template FailureCode rescale(std::span<double>, std::int32_t&);
template FailureCode rescale(std::span<float>, std::int32_t&, float);
template FailureCode rescale(std::span<double>, std::int32_t&, double);

}  // namespace gradflow
