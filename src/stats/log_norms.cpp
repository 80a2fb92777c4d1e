#include "gradflow/stats/log_norms.hpp"

#include <cmath>
#include <limits>

namespace gradflow::stats {

LogNorms LogNorms::of(std::span<const double> logs, std::int64_t zero_samples) {
  LogNorms norms{.nonzero = std::int64_t(logs.size()), .zero = zero_samples};
  if (logs.empty()) return norms;
  for (double log : logs) norms.mean += log;
  norms.mean /= double(logs.size());
  for (double log : logs) norms.m2 += (log - norms.mean) * (log - norms.mean);
  return norms;
}

void LogNorms::merge(const LogNorms& next) {
  zero += next.zero;
  if (next.nonzero == 0) return;
  const double na = double(nonzero), nb = double(next.nonzero), n = na + nb;
  const double d = next.mean - mean;
  m2 += next.m2 + d * d * na * nb / n;
  mean = nonzero == 0 ? next.mean : mean + d * nb / n;
  nonzero += next.nonzero;
}

double LogNorms::log10_mean() const {
  if (nonzero > 0) return mean;
  return zero > 0 ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
}

double LogNorms::log10_std() const { return std::sqrt(m2 / double(nonzero)); }

double LogNorms::zero_fraction() const { return double(zero) / double(zero + nonzero); }

}  // namespace gradflow::stats
