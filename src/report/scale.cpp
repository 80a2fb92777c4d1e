#include "scale.hpp"

#include <algorithm>
#include <cmath>

namespace gradflow::report {
namespace {

/// The smallest of 1, 2, 5, 10 times a power of ten that is not below `least`.
double round_step(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double digit : {1.0, 2.0, 5.0}) {
    if (digit * power >= least * (1 - 1e-9)) return digit * power;
  }
  return 10 * power;
}

}  // namespace

void Range::include(double value) {
  if (!std::isfinite(value)) return;
  low = is_empty ? value : std::min(low, value);
  high = is_empty ? value : std::max(high, value);
  is_empty = false;
}

void Range::include(std::span<const double> values) {
  for (const double value : values) include(value);
}

Range Range::widened(double least_length, double margin) const {
  const double middle = (low + high) / 2;
  const double half = std::max(high - low, least_length) / 2 * (1 + 2 * margin);
  return {middle - half, middle + half, false};
}

std::vector<double> ticks(const Range& range, int count, Notation notation) {
  double step = round_step((range.high - range.low) / count);
  if (notation == Notation::power_of_ten) step = std::max(step, 1.0);
  const double first = std::ceil(range.low / step);
  const double last = std::floor(range.high / step);
  const bool counts = std::max(std::abs(first), std::abs(last)) < 0x1p53;
  if (!counts) return {range.low, range.high};  // beside such values no step shows
  std::vector<double> values;
  for (double i = first; i <= last; ++i) values.push_back(i * step);
  return values;
}

}  // namespace gradflow::report
