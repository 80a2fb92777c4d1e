#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "gradflow/core/simd.hpp"
#include "lanes.hpp"

/// The passes over one row v[0], ..., v[width - 1] of a signal, aligned and padded with zeros to a multiple
/// of 16.
namespace gradflow::stats {

/// What one pass over a row finds.
template <class Real>
struct RowFacts {
  Real min, max;
  int zeros;
  double sum, squares;  ///< of v and of v^2
};

template <class Real>
RowFacts<Real> facts_of(const Real* row, int width) {
  using Pack = simd::Pack<Real>;
  const Pack first = simd::constant<Pack>(row[0]), zero = simd::constant<Pack>(0);
  Pack least = first, most = first;
  int zeros = 0;
  Lanes sum, squares;
  const auto take_range = [&](Pack v) {
    least = simd::min(least, v);
    most = simd::max(most, v);
    zeros += simd::count<Real>(v == zero);
  };
  const auto take_sums = [&](int column) {
    const Lanes v = Lanes::load(row + column);
    sum += v;
    squares.add_product(v, v);
  };
  int j = 0;
  for (; j + Lanes::count <= width; j += Lanes::count) {
    for (int k = j; k < j + Lanes::count; k += simd::lanes<Real>) take_range(simd::load(row + k));
    take_sums(j);
  }
  if (j < width) take_sums(j);
  for (; j < width; j += simd::lanes<Real>) {
    const auto inside = simd::first_lanes<Real>(std::min(width - j, simd::lanes<Real>));
    take_range(simd::select(inside, simd::load(row + j), first));
  }
  const int beyond = j - width;  // lanes that repeated the first element
  if (beyond > 0 && row[0] == 0) zeros -= beyond;
  return {simd::smallest_lane(least), simd::largest_lane(most), zeros, sum.sum(), squares.sum()};
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
    m2.add_product(d, d);
    if constexpr (shape) {
      const Lanes d2 = d * d;
      m3.add_product(d2, d);
      m4.add_product(d2, d2);
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

/// Sum over the rows of factor * v, row after row, for the sixteen columns from `column` on.
template <class Real>
Lanes weighted_columns(std::span<const Real* const> rows, const double* factors, int column) {
  Lanes sum;
  for (std::size_t r = 0; r < rows.size(); ++r) sum.add_product(Lanes::load(rows[r] + column), factors[r]);
  return sum;
}

/// The largest magnitude of each of the columns of a pack.
template <class Real>
simd::Pack<Real> largest_in_columns(std::span<const Real* const> rows, int column) {
  simd::Pack<Real> largest = simd::constant<simd::Pack<Real>>(0);
  for (const Real* row : rows) largest = simd::max(largest, simd::abs(simd::load(row + column)));
  return largest;
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

/// Elements of magnitude at least `limit`. @pre limit > 0
template <class Real>
std::int64_t count_from(Real limit, const Real* row, int width) {
  using Pack = simd::Pack<Real>;
  const Pack least = simd::constant<Pack>(limit);
  std::int64_t count = 0;
  for (int j = 0; j < width; j += simd::lanes<Real>) {
    count += simd::count<Real>(simd::abs(simd::load(row + j)) >= least);
  }
  return count;
}

}  // namespace gradflow::stats
