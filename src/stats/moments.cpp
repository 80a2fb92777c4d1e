#include "gradflow/stats/moments.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gradflow::stats {

void Moments::shift_to(std::int64_t larger_exponent) {
  const std::int64_t distance = std::max<std::int64_t>(exponent - larger_exponent, -5000);
  const double f = std::ldexp(1.0, int(distance));
  mean *= f;
  m2 *= f * f;
  m3 *= f * f * f;
  m4 *= f * f * f * f;
  squares *= f * f;
  min *= f;
  max *= f;
  exponent = larger_exponent;
}

void Moments::merge(const Moments& next) {
  if (next.count == 0) return;
  if (count == 0) {
    *this = next;
    return;
  }
  Moments b = next;
  const std::int64_t common = std::max(exponent, b.exponent);
  if (exponent != common) shift_to(common);
  if (b.exponent != common) b.shift_to(common);

  // Pebay, Sandia report SAND2008-6212, equations 2.1 to 2.9; A is *this.
  const double na = double(count), nb = double(b.count), n = na + nb;
  const double d = b.mean - mean, d2 = d * d;
  m4 += b.m4 + d2 * d2 * na * nb * (na * na - na * nb + nb * nb) / (n * n * n) +
        6 * d2 * (na * na * b.m2 + nb * nb * m2) / (n * n) + 4 * d * (na * b.m3 - nb * m3) / n;
  m3 += b.m3 + d * d2 * na * nb * (na - nb) / (n * n) + 3 * d * (na * b.m2 - nb * m2) / n;
  m2 += b.m2 + d2 * na * nb / n;
  mean += d * nb / n;
  squares += b.squares;
  min = std::min(min, b.min);
  max = std::max(max, b.max);
  count += b.count;
}

Scaled Moments::mean_square() const { return Scaled::of(squares / double(count), 2 * exponent); }

Scaled Moments::absmax() const {
  return Scaled::of(count > 0 ? std::max(-min, max) : std::numeric_limits<double>::quiet_NaN(), exponent);
}

double Moments::rms() const { return std::sqrt(squares / double(count)); }

double Moments::mean_value() const {
  if (count == 0) return std::numeric_limits<double>::quiet_NaN();
  return Scaled::of(mean, exponent).value();
}

double Moments::mean_over_rms() const { return mean / rms(); }

double Moments::variance_over_mean_square() const { return m2 / squares; }

double Moments::skewness() const { return std::sqrt(double(count)) * m3 / (m2 * std::sqrt(m2)); }

double Moments::kurtosis() const { return double(count) * m4 / (m2 * m2); }

double Moments::min_over_rms() const { return min / rms(); }

double Moments::max_over_rms() const { return max / rms(); }

}  // namespace gradflow::stats
