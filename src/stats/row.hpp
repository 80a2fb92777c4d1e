#pragma once

#include <cstdint>
#include <limits>

#include "gradflow/core/simd.hpp"
#include "lanes.hpp"

/// The passes over one row v[0], ..., v[width - 1] of a signal, aligned and padded with zeros to a multiple
/// of 16.
namespace gradflow::stats {

template <class Real>
struct RangeOfRow {
  Real min, max;
  int zeros;
};

template <class Real>
RangeOfRow<Real> range_of(const Real* row, int width) {
  using Pack = simd::Pack<Real>;
  constexpr int step = simd::lanes<Real>;
  const Pack first = simd::constant<Pack>(row[0]), zero = simd::constant<Pack>(0);
  Pack least = first, most = first;
  int zeros = 0;
  const auto take = [&](Pack v) {
    least = simd::min(least, v);
    most = simd::max(most, v);
    zeros += simd::count<Real>(v == zero);
  };
  const int whole = width / step * step, rest = width - whole;
  for (int j = 0; j < whole; j += step) take(simd::load(row + j));
  if (rest > 0) {
    take(simd::select(simd::first_lanes<Real>(rest), simd::load(row + whole), first));
    if (row[0] == 0) zeros -= step - rest;
  }
  return {simd::smallest_lane(least), simd::largest_lane(most), zeros};
}

struct RowSums {
  double sum, squares;
};

/// Sums of v and v^2.
template <class Real>
RowSums sums_of(const Real* row, int width) {
  Lanes sum, squares;
  for (int j = 0; j < width; j += Lanes::count) {
    const Lanes v = Lanes::load(row + j);
    sum += v;
    squares += v * v;
  }
  return {sum.sum(), squares.sum()};
}

struct RowPowers {
  double m2 = 0;
  double m3 = std::numeric_limits<double>::quiet_NaN(), m4 = m3;
};

/// Sums of (v - center)^2 and, for the shape of the distribution, ^3 and ^4.
template <bool shape, class Real>
RowPowers powers_of(const Real* row, int width, double center) {
  Lanes m2, m3, m4;
  const auto take = [&](const Lanes& d) {
    const Lanes d2 = d * d;
    m2 += d2;
    if constexpr (shape) {
      m3 += d2 * d;
      m4 += d2 * d2;
    }
  };
  const int whole = width / Lanes::count * Lanes::count, rest = width - whole;
  for (int j = 0; j < whole; j += Lanes::count) take(Lanes::load(row + j) - center);
  if (rest > 0) take((Lanes::load(row + whole) - center).first(rest));
  if constexpr (shape) return {m2.sum(), m3.sum(), m4.sum()};
  return {.m2 = m2.sum()};
}

/// The same for a row of zeros.
template <bool shape>
RowPowers powers_of_zeros(int width, double center) {
  const double square = center * center;
  if constexpr (shape) return {width * square, -width * square * center, width * square * square};
  return {.m2 = width * square};
}

/// sums[j] += factor * v[j] for every column, padding included.
template <class Real>
void add_to(double* sums, const Real* row, int width, double factor) {
  for (int j = 0; j < width; j += Lanes::count) {
    Lanes sum = Lanes::load(sums + j);
    sum += Lanes::load(row + j) * factor;
    sum.store(sums + j);
  }
}

/// Marks with 1 the columns that are not zero.
template <class Real>
void mark_nonzero(Real* marks, const Real* row, int width) {
  using Pack = simd::Pack<Real>;
  const Pack zero = simd::constant<Pack>(0), one = simd::constant<Pack>(1);
  for (int j = 0; j < width; j += simd::lanes<Real>) {
    simd::store(simd::select(simd::load(row + j) == zero, simd::load(marks + j), one), marks + j);
  }
}

/// The smallest nonzero magnitude; infinity if there is none.
template <class Real>
Real smallest_magnitude(const Real* row, int width) {
  using Pack = simd::Pack<Real>;
  const Pack zero = simd::constant<Pack>(0),
             infinite = simd::constant<Pack>(std::numeric_limits<double>::infinity());
  Pack least = infinite;
  for (int j = 0; j < width; j += simd::lanes<Real>) {
    const Pack v = simd::load(row + j);
    least = simd::min(least, simd::select(v == zero, infinite, simd::abs(v)));
  }
  return simd::smallest_lane(least);
}

/// Nonzero elements of magnitude at most `limit`.
template <class Real>
std::int64_t count_up_to(Real limit, const Real* row, int width) {
  using Pack = simd::Pack<Real>;
  const Pack zero = simd::constant<Pack>(0), most = simd::constant<Pack>(limit);
  std::int64_t count = 0;
  for (int j = 0; j < width; j += simd::lanes<Real>) {
    const Pack v = simd::abs(simd::load(row + j));
    count += simd::count<Real>(simd::both(v <= most, v > zero));
  }
  return count;
}

}  // namespace gradflow::stats
