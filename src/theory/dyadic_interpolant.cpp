#include "dyadic_interpolant.hpp"

#include <cmath>
#include <numbers>

namespace gradflow::theory {
namespace {

double upper_end(int interval) { return std::ldexp(std::numbers::pi / 2, -interval); }

/// Chebyshev points of the second kind on [upper/2, upper].
double point(double upper, int j, int last) {
  return upper * (0.75 + 0.25 * std::cos(std::numbers::pi * j / last));
}

}  // namespace

double DyadicInterpolant::operator()(double x) {
  const int interval = int(std::floor(std::log2(upper_end(0) / x)));
  const Samples& samples = samples_of(interval);
  const int last = int(samples.size()) - 1;
  double numerator = 0;
  double denominator = 0;
  for (int j = 0; j <= last; ++j) {
    const double distance = x - point(upper_end(interval), j, last);
    if (distance == 0) return samples[std::size_t(j)];
    const double end = j == 0 || j == last ? 0.5 : 1;
    const double weight = (j % 2 == 0 ? end : -end) / distance;
    numerator += weight * samples[std::size_t(j)];
    denominator += weight;
  }
  return numerator / denominator;
}

const DyadicInterpolant::Samples& DyadicInterpolant::samples_of(int interval) {
  const auto [found, is_new] = samples_.try_emplace(interval);
  Samples& samples = found->second;
  const int last = int(samples.size()) - 1;
  for (int j = 0; is_new && j <= last; ++j) samples[std::size_t(j)] = f_(point(upper_end(interval), j, last));
  return samples;
}

}  // namespace gradflow::theory
