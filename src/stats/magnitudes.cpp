#include "gradflow/stats/magnitudes.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <utility>

#include "gradflow/core/errors.hpp"

namespace gradflow::stats {

namespace {

std::int64_t floor_divided(std::int64_t cell) { return cell >> std::countr_zero(unsigned(cells_per_octave)); }

std::int64_t sum_of(const CellCounts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t(0),
                         [](std::int64_t sum, const auto& cell) { return sum + cell.second; });
}

/// Counts of the cells from `first` to before `end`.
std::int64_t sum_between(const CellCounts& counts, std::int64_t first, std::int64_t end) {
  const auto below = [](const auto& cell, std::int64_t limit) { return cell.first < limit; };
  std::int64_t sum = 0;
  for (auto cell = std::lower_bound(counts.begin(), counts.end(), first, below);
       cell != counts.end() && cell->first < end; ++cell) {
    sum += cell->second;
  }
  return sum;
}

/// The cells of some elements, counted.
CellCounts counted(std::vector<std::int64_t> cells) {
  std::sort(cells.begin(), cells.end());
  CellCounts counts;
  for (const std::int64_t cell : cells) {
    if (counts.empty() || counts.back().first != cell) counts.emplace_back(cell, 0);
    ++counts.back().second;
  }
  return counts;
}

}  // namespace

CellCounts merged(const CellCounts& a, const CellCounts& b) {
  CellCounts sum;
  sum.reserve(a.size() + b.size());
  auto of_a = a.begin();
  for (const auto& cell : b) {
    while (of_a != a.end() && of_a->first < cell.first) sum.push_back(*of_a++);
    sum.push_back(cell);
    if (of_a != a.end() && of_a->first == cell.first) sum.back().second += (of_a++)->second;
  }
  sum.insert(sum.end(), of_a, a.end());
  return sum;
}

std::int64_t cell_of(double magnitude) {
  constexpr int octaves_up = 200;
  constexpr int bias = 1023;
  constexpr int mantissa_bits_left = 52 - std::countr_zero(unsigned(cells_per_octave));
  std::int64_t exponent = -bias;
  if (magnitude < std::numeric_limits<double>::min()) {
    magnitude *= 0x1p200;
    exponent -= octaves_up;
  }
  // The exponent of a double stands above its mantissa: their leading bits, read as one number, count cells.
  return std::int64_t(std::bit_cast<std::uint64_t>(magnitude) >> mantissa_bits_left) +
         exponent * cells_per_octave;
}

Scaled middle_of(std::int64_t cell) {
  const std::int64_t octave = floor_divided(cell);
  const auto step = double(cell - octave * cells_per_octave);
  return Scaled::of(1 + (step + 0.5) / cells_per_octave, octave);
}

void Magnitudes::merge(const Magnitudes& next) {
  negative_ = merged(negative_, next.negative_);
  positive_ = merged(positive_, next.positive_);
  lost_ = merged(lost_, next.lost_);
}

void Magnitudes::count_lost(std::int64_t octave) { lost_ = merged(lost_, {{octave, 1}}); }

std::int64_t Magnitudes::in_octaves(std::int64_t first, std::int64_t end) const {
  const std::int64_t first_cell = first * cells_per_octave;
  const std::int64_t end_cell = end * cells_per_octave;
  return sum_between(negative_, first_cell, end_cell) + sum_between(positive_, first_cell, end_cell) +
         sum_between(lost_, first, end);
}

Scaled Magnitudes::quantile(int percent, std::int64_t elements) const {
  expect(elements > 0 && 0 < percent && percent <= 100, "a quantile of some elements");
  std::int64_t left = (elements * percent + 99) / 100;  // until the element that is looked for
  for (auto cell = negative_.rbegin(); cell != negative_.rend(); ++cell) {
    left -= cell->second;
    if (left <= 0) return -middle_of(cell->first);
  }
  left -= elements - sum_of(negative_) - sum_of(positive_);
  if (left <= 0) return {};
  for (const auto& cell : positive_) {
    left -= cell.second;
    if (left <= 0) return middle_of(cell.first);
  }
  return {};
}

MagnitudeCounter::MagnitudeCounter(std::int64_t top_octave)
    : first_((top_octave + 1 - dense_octaves) * cells_per_octave) {
  constexpr std::size_t cells = std::size_t(dense_octaves) * cells_per_octave;
  negative_.dense.assign(cells, 0);
  positive_.dense.assign(cells, 0);
}

void MagnitudeCounter::count(Side& side, std::int64_t cell) {
  const auto place = std::uint64_t(cell - first_);  // huge for a cell below the first
  if (place < side.dense.size()) {
    ++side.dense[place];
  } else {
    side.far.push_back(cell);
  }
}

template <class Real>
void MagnitudeCounter::add(std::span<const Real> elements, std::int64_t exponent) {
  const std::int64_t up = exponent * cells_per_octave;
  for (const Real v : elements) {
    if (v == 0) continue;
    v < 0 ? count(negative_, cell_of(-double(v)) + up) : count(positive_, cell_of(double(v)) + up);
  }
}

CellCounts MagnitudeCounter::cells_of(Side& side) const {
  CellCounts dense;
  for (std::size_t i = 0; i < side.dense.size(); ++i) {
    if (side.dense[i] > 0) dense.emplace_back(first_ + std::int64_t(i), side.dense[i]);
  }
  return side.far.empty() ? dense : merged(counted(std::move(side.far)), dense);
}

Magnitudes MagnitudeCounter::counts() && { return {cells_of(negative_), cells_of(positive_)}; }

template void MagnitudeCounter::add(std::span<const float>, std::int64_t);
template void MagnitudeCounter::add(std::span<const double>, std::int64_t);

}  // namespace gradflow::stats
