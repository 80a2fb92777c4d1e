#include "wide_row.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>

#include "gradflow/core/rescale.hpp"

namespace gradflow::nn {
namespace {

/// Mostly settled by the first element.
bool is_zero(const std::vector<double>& values) {
  return std::ranges::none_of(values, [](double v) { return v != 0; });
}

/// Of the magnitudes; not a number if one is not. Independent lanes: a chain of maxima waits for each of
/// them.
double largest(const std::vector<double>& values) {
  constexpr std::size_t lanes = 8;
  std::array<double, lanes> most{};
  std::array<double, lanes> nothing{};  // 0, or NaN from a value that is not finite
  const auto take = [&](std::size_t lane, double v) {
    most[lane] = most[lane] < std::abs(v) ? std::abs(v) : most[lane];
    nothing[lane] += v - v;
  };
  const std::size_t whole = values.size() / lanes * lanes;
  for (std::size_t j = 0; j < whole; j += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) take(lane, values[j + lane]);
  }
  for (std::size_t j = whole; j < values.size(); ++j) take(j - whole, values[j]);
  return std::ranges::max(most) + std::accumulate(nothing.begin(), nothing.end(), 0.0);
}

/// All elements brought to a larger exponent.
void shift_to(WideRow& a, std::int64_t exponent) {
  if (a.exponent == exponent) return;
  const double factor = std::ldexp(1.0, int(std::max<std::int64_t>(a.exponent - exponent, -5000)));
  for (double& v : a.values) v *= factor;
  a.exponent = exponent;
}

}  // namespace

template <class Real>
WideRow wide(const Signal<Real>& signal, int row) {
  const std::span<const Real> values = signal.values.row(row).first(std::size_t(signal.width));
  return {{values.begin(), values.end()}, signal.exponents[std::size_t(row)]};
}

WideRow sum(WideRow a, WideRow b) {
  if (is_zero(b.values)) return a;
  if (is_zero(a.values)) return b;
  const std::int64_t common = std::max(a.exponent, b.exponent);
  shift_to(a, common);
  shift_to(b, common);
  for (std::size_t j = 0; j < a.size(); ++j) a[j] += b[j];
  return a;
}

WideRow product(WideRow a, const WideRow& b) {
  for (std::size_t j = 0; j < a.size(); ++j) a[j] *= b[j];
  a.exponent += b.exponent;
  return a;
}

WideRow scaled(WideRow a, double factor) {
  int exponent = 0;
  const double mantissa = std::frexp(factor, &exponent);
  for (double& v : a.values) v *= mantissa;
  a.exponent += exponent;
  return a;
}

WideRow part_of(const WideRow& a, int first, int width) {
  const auto begin = a.values.begin() + first;
  return {{begin, begin + width}, a.exponent};
}

WideRow joined(std::vector<WideRow> parts) {
  std::optional<std::int64_t> common;
  for (const WideRow& part : parts) {
    if (!is_zero(part.values)) common = std::max(common.value_or(part.exponent), part.exponent);
  }
  WideRow all{{}, common.value_or(0)};
  for (WideRow& part : parts) {
    if (!is_zero(part.values)) shift_to(part, all.exponent);
    all.values.insert(all.values.end(), part.values.begin(), part.values.end());
  }
  return all;
}

template <class Real>
FailureCode store(const WideRow& sample, Signal<Real>& signal, int row) {
  const std::span<Real> out = signal.values.row(row);
  std::int32_t& stored_exponent = signal.exponents[std::size_t(row)];
  std::ranges::fill(out, Real(0));
  stored_exponent = 0;
  const double most = largest(sample.values);
  if (!std::isfinite(most)) return FailureCode::non_finite;
  if (most == 0) return FailureCode::none;
  const int shift = std::abs(std::ilogb(most)) <= rescale_bits ? 0 : std::ilogb(most);
  const std::int64_t exponent = sample.exponent + shift;
  if (std::abs(exponent) > largest_exponent) return FailureCode::exponent_overflow;
  const double factor = std::ldexp(1.0, -shift / 2);
  const double rest = std::ldexp(1.0, -shift - -shift / 2);
  for (std::size_t j = 0; j < sample.size(); ++j) out[j] = Real(sample[j] * factor * rest);
  stored_exponent = std::int32_t(exponent);
  return FailureCode::none;
}

template WideRow wide(const Signal<float>&, int);
template WideRow wide(const Signal<double>&, int);
template FailureCode store(const WideRow&, Signal<float>&, int);
template FailureCode store(const WideRow&, Signal<double>&, int);

}  // namespace gradflow::nn
