#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace gradflow {

/// A number `mantissa * 2^exponent` that cannot under- or overflow: the only form in which true sums are
/// kept.
///
/// Zero has mantissa 0 and exponent 0. A finite nonzero value has |mantissa| in [1, 2).
struct Scaled {
  double mantissa = 0;
  std::int64_t exponent = 0;

  /// `value * 2^exponent`, brought to normal form. Exact.
  static Scaled of(double value, std::int64_t exponent = 0) {
    if (value == 0) return {};
    if (!std::isfinite(value)) return {value, 0};
    int shift = 0;
    const double half = std::frexp(value, &shift);  // |half| in [1/2, 1)
    return {2 * half, exponent + shift - 1};
  }

  bool is_zero() const { return mantissa == 0; }

  /// The value as a double: 0 or infinity where a double has no such number.
  double value() const { return std::ldexp(mantissa, clamp(exponent)); }

  /// log10 |value|; -infinity for zero.
  double log10() const {
    if (is_zero()) return -std::numeric_limits<double>::infinity();
    return std::log10(std::abs(mantissa)) + double(exponent) * log10_of_2;
  }

  friend Scaled operator*(Scaled a, Scaled b) { return of(a.mantissa * b.mantissa, a.exponent + b.exponent); }
  friend Scaled operator/(Scaled a, Scaled b) { return of(a.mantissa / b.mantissa, a.exponent - b.exponent); }
  /// The larger exponent wins; the smaller operand is shifted to it and loses what does not fit.
  friend Scaled operator+(Scaled a, Scaled b) {
    if (a.is_zero()) return b;
    if (b.is_zero()) return a;
    const std::int64_t e = std::max(a.exponent, b.exponent);
    return of(std::ldexp(a.mantissa, clamp(a.exponent - e)) + std::ldexp(b.mantissa, clamp(b.exponent - e)),
              e);
  }
  friend Scaled operator-(Scaled a) { return {-a.mantissa, a.exponent}; }
  friend Scaled operator-(Scaled a, Scaled b) { return a + -b; }
  friend bool operator==(Scaled, Scaled) = default;
  friend bool operator<(Scaled a, Scaled b) { return (a - b).mantissa < 0; }

  /// Square root. @pre value >= 0
  friend Scaled sqrt(Scaled a) {
    const std::int64_t odd = a.exponent & 1;
    return of(std::sqrt(std::ldexp(a.mantissa, int(odd))), (a.exponent - odd) / 2);
  }

  static constexpr double log10_of_2 = 0.301029995663981195213738894724493027;

 private:
  static int clamp(std::int64_t e) { return int(std::clamp<std::int64_t>(e, -5000, 5000)); }
};

}  // namespace gradflow
