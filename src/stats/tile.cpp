#include "tile.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

namespace gradflow::stats {

namespace {

/// floor(log2 x) of a normal number; -1075, below them all, of a subnormal one.
int leading_exponent(double x) {
  const int biased = int(std::bit_cast<std::uint64_t>(x) >> 52 & 0x7ff);
  return biased > 0 ? biased - 1023 : -1075;
}

/// @pre |exponent| <= 1022
double power_of_two(std::int64_t exponent) {
  return std::bit_cast<double>(std::uint64_t(1023 + exponent) << 52);
}

/// 2^(exponent - common), which turns v into the tile's unit; 0 where the sample cannot change a bit of a
/// sum.
template <class Real>
double weight_of(const Sample<Real>& sample, std::int64_t common) {
  const std::int64_t leading = sample.leading_exponent;
  if (leading == Moments::no_exponent || leading < common - 100) return 0;
  return power_of_two(sample.exponent - common);
}

/// Sums of powers of a sample's deviations from the tile's mean, in the tile's unit.
template <bool shape, class Real>
RowPowers central_powers(const Sample<Real>& sample, int width, const Moments& tile) {
  const double unit = weight_of(sample, tile.exponent), unit2 = unit * unit;
  if (unit == 0) return powers_of_zeros<shape>(width, tile.mean);
  const RowPowers powers = powers_of<shape>(sample.row, width, tile.mean / unit);
  return {unit2 * powers.m2, unit2 * powers.m3 * unit, unit2 * powers.m4 * unit2};
}

/// The smallest number of the type that is not below a positive limit.
template <class Real>
Real not_below(double limit) {
  const Real nearest = Real(limit);
  const bool is_below = nearest == 0 || double(nearest) < limit;
  return is_below ? std::nextafter(nearest, std::numeric_limits<Real>::infinity()) : nearest;
}

template <class Real>
Sample<Real> read_sample(const Real* row, std::int64_t exponent, int width) {
  Sample<Real> sample{row, exponent, facts_of(row, width), Moments::no_exponent};
  const double largest = sample.absmax();
  if (largest == 0) return sample;
  const int leading = std::isfinite(largest) ? leading_exponent(largest) : 0;
  // Fourth powers of what may stand 2^100 above it must fit a double.
  expect(-150 <= leading && leading <= 130, "samples rescaled to near 1");
  sample.leading_exponent = exponent + leading;
  return sample;
}

/// log10 of each number, in place. @pre `numbers` is aligned and has room for whole packs
void take_log10(double* numbers, std::size_t count) {
  for (std::size_t i = 0; i < count; i += simd::lanes<double>) {
    simd::store(simd::log10(simd::load(numbers + i)), numbers + i);
  }
}

}  // namespace

template <class Real>
Tile<Real>::Tile(const Signal<Real>& signal, RowRange rows) : count_(rows.samples), width_(signal.width) {
  for (int s = 0; s < count_; ++s) {
    const int row = rows.first_row + s;
    samples_[s] = read_sample(signal.values.row(row).data(), signal.exponents[row], width_);
  }
}

template <class Real>
std::int64_t Tile<Real>::zeros() const {
  std::int64_t zeros = 0;
  for (const auto& sample : samples()) zeros += sample.facts.zeros;
  return zeros;
}

template <class Real>
std::int64_t Tile<Real>::largest_exponent() const {
  std::int64_t largest = Moments::no_exponent;
  for (const auto& sample : samples()) largest = std::max(largest, sample.leading_exponent);
  return largest;
}

template <class Real>
Moments Tile<Real>::moments(What what) const {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  Moments all{.count = std::int64_t(count_) * width_, .mean = nan, .m2 = nan, .m3 = nan, .m4 = nan};
  all.min = infinity;
  all.max = -infinity;
  all.exponent = largest_exponent();

  double sum = 0;
  for (const auto& sample : samples()) {
    const double weight = weight_of(sample, all.exponent);
    sum += weight * sample.facts.sum;
    all.squares += weight * weight * sample.facts.squares;
    all.min = std::min(all.min, weight * sample.facts.min);
    all.max = std::max(all.max, weight * sample.facts.max);
  }
  if (!has(what, What::moments)) return all;
  // A mean rounded out of the range would give equal numbers a variance.
  all.mean = std::clamp(sum / double(all.count), all.min, all.max);
  has(what, What::shape) ? add_central<true>(all) : add_central<false>(all);
  return all;
}

template <class Real>
template <bool shape>
void Tile<Real>::add_central(Moments& moments) const {
  moments.m2 = moments.m3 = moments.m4 = 0;
  for (const auto& sample : samples()) {
    const RowPowers powers = central_powers<shape>(sample, width_, moments);
    moments.m2 += powers.m2;
    moments.m3 += powers.m3;
    moments.m4 += powers.m4;
  }
}

template <class Real>
LogNorms Tile<Real>::norms() const {
  alignas(64) std::array<double, tile_rows> logs;
  logs.fill(1);
  std::array<double, tile_rows> exponents;
  std::size_t nonzero = 0;
  for (const auto& sample : samples()) {
    if (!sample.has_norm()) continue;
    logs[nonzero] = sample.facts.squares;
    exponents[nonzero++] = double(sample.exponent);
  }
  take_log10(logs.data(), nonzero);
  for (std::size_t i = 0; i < nonzero; ++i) logs[i] = logs[i] / 2 + exponents[i] * Scaled::log10_of_2;
  return LogNorms::of({logs.data(), nonzero}, count_ - std::int64_t(nonzero));
}

template <class Real>
template <class FactorOf>
std::vector<double> Tile<Real>::weighted_sum(FactorOf factor_of) const {
  std::array<const Real*, tile_rows> rows;
  std::array<double, tile_rows> factors;
  std::size_t used = 0;
  for (const auto& sample : samples()) {
    const double factor = sample.has_norm() ? factor_of(sample) : 0;
    if (factor == 0) continue;
    rows[used] = sample.row;
    factors[used++] = factor;
  }
  std::vector<double> sum(static_cast<std::size_t>(width_));
  for (int j = 0; j < width_; j += Lanes::count) {
    alignas(64) double columns[Lanes::count];
    weighted_columns<Real>({rows.data(), used}, factors.data(), j).store(columns);
    std::copy_n(columns, std::min(Lanes::count, width_ - j), sum.begin() + j);
  }
  return sum;
}

template <class Real>
std::vector<double> Tile<Real>::direction_sum() const {
  return weighted_sum([](const Sample<Real>& sample) { return 1 / std::sqrt(sample.facts.squares); });
}

template <class Real>
SampleSum Tile<Real>::sample_sum() const {
  const std::int64_t common = largest_exponent();
  return {weighted_sum([&](const Sample<Real>& sample) { return weight_of(sample, common); }), common};
}

template <class Real>
UnitSamples Tile<Real>::unit_samples() const {
  std::vector<double> rows;
  rows.reserve(std::size_t(count_) * std::size_t(width_));
  for (const auto& sample : samples()) {
    const double factor = sample.has_norm() ? 1 / std::sqrt(sample.facts.squares) : 0;
    std::transform(sample.row, sample.row + width_, std::back_inserter(rows),
                   [&](Real v) { return double(v) * factor; });
  }
  return {std::move(rows), width_};
}

template <class Real>
Magnitudes Tile<Real>::magnitudes() const {
  MagnitudeCounter counter(largest_exponent());
  for (const auto& sample : samples()) {
    if (sample.has_norm())
      counter.add(std::span<const Real>(sample.row, std::size_t(width_)), sample.exponent);
  }
  return std::move(counter).counts();
}

template <class Real>
std::vector<std::uint8_t> Tile<Real>::live_units() const {
  std::array<const Real*, tile_rows> rows;
  std::ranges::transform(samples(), rows.begin(), &Sample<Real>::row);
  std::vector<std::uint8_t> live(static_cast<std::size_t>(width_));
  for (int j = 0; j < width_; j += simd::lanes<Real>) {
    alignas(64) Real largest[simd::lanes<Real>];
    simd::store(largest_in_columns<Real>({rows.data(), std::size_t(count_)}, j), largest);
    for (int k = j; k < std::min(j + simd::lanes<Real>, width_); ++k)
      live[std::size_t(k)] = largest[k - j] != 0;
  }
  return live;
}

/// Elements |v| <= 2^(threshold - exponent), one by one only where the sample's range straddles that limit.
template <class Real>
std::array<std::int64_t, format_count> Tile<Real>::underflows(int scale) const {
  std::array<std::int64_t, format_count> counts{};
  for (const auto& sample : samples()) {
    if (!sample.has_norm()) continue;
    const Real smallest = smallest_magnitude(sample.row, width_), largest = sample.absmax();
    const int below_smallest = leading_exponent(smallest), above_largest = leading_exponent(largest) + 1;
    for (int f = 0; f < format_count; ++f) {
      const std::int64_t limit = formats()[f].log2_threshold - scale - sample.exponent;
      if (limit < below_smallest) continue;
      counts[f] += limit >= above_largest
                       ? width_ - sample.facts.zeros
                       : count_up_to(Real(std::ldexp(1.0, int(limit))), sample.row, width_);
    }
  }
  return counts;
}

/// Elements |v| >= mantissa * 2^limit, one by one only where the sample's range straddles that limit.
template <class Real>
std::array<std::int64_t, format_count> Tile<Real>::overflows(int scale) const {
  std::array<std::int64_t, format_count> counts{};
  for (const auto& sample : samples()) {
    if (!sample.has_norm()) continue;
    const int of_largest = leading_exponent(sample.absmax());
    const int of_smallest = leading_exponent(smallest_magnitude(sample.row, width_));
    for (int f = 0; f < format_count; ++f) {
      const Format& format = formats()[f];
      const std::int64_t limit = format.overflow_exponent - scale - sample.exponent;
      if (limit > of_largest) continue;
      counts[f] += limit < of_smallest - 1
                       ? width_ - sample.facts.zeros
                       : count_from(not_below<Real>(std::ldexp(format.overflow_mantissa, int(limit))),
                                    sample.row, width_);
    }
  }
  return counts;
}

template class Tile<float>;
template class Tile<double>;

}  // namespace gradflow::stats
