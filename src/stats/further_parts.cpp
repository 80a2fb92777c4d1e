#include "gradflow/stats/further_parts.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gradflow::stats {

namespace {

void multiply(std::vector<double>& values, std::int64_t exponent) {
  const double factor = std::ldexp(1.0, int(std::max<std::int64_t>(exponent, -5000)));
  for (double& value : values) value *= factor;
}

}  // namespace

void LossScaledCounts::merge(const LossScaledCounts& next) {
  for (std::size_t f = 0; f < format_count; ++f) {
    underflows[f] += next.underflows[f];
    overflows[f] += next.overflows[f];
  }
}

void SampleSum::merge(const SampleSum& next) {
  SampleSum b = next;
  const std::int64_t common = std::max(exponent, b.exponent);
  if (exponent != common) multiply(values, exponent - common);
  if (b.exponent != common) multiply(b.values, b.exponent - common);
  exponent = common;
  for (std::size_t j = 0; j < values.size(); ++j) values[j] += b.values[j];
}

Scaled SampleSum::squared() const {
  double sum = 0;
  for (const double x : values) sum += x * x;
  return Scaled::of(sum, 2 * exponent);
}

void FurtherParts::merge(FurtherParts next) {
  magnitudes.merge(next.magnitudes);
  scaled.merge(next.scaled);
  sum.merge(next.sum);
  samples.append(std::move(next.samples));
}

}  // namespace gradflow::stats
