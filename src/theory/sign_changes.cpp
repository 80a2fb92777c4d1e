#include "sign_changes.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include <boost/math/tools/minima.hpp>
#include <boost/math/tools/toms748_solve.hpp>

namespace gradflow::theory {
namespace {

double step_after(double x) { return std::max(std::abs(x), 2.0) / 16; }

std::vector<double> ladder(double low, double high) {
  std::vector<double> steps;
  for (double x = low; x < high; x += step_after(x)) steps.push_back(x);
  steps.push_back(high);
  return steps;
}

/// Whether |f| is least at i, the sign being the same on both sides.
bool is_valley(const std::vector<double>& f, std::size_t i) {
  if (i == 0 || i + 1 == f.size()) return false;
  const int sign = decided_sign(f[i]);
  if (sign == 0 || decided_sign(f[i - 1]) != sign || decided_sign(f[i + 1]) != sign) return false;
  return std::abs(f[i]) < std::abs(f[i - 1]) - resolution && std::abs(f[i]) <= std::abs(f[i + 1]);
}

double bottom_of_valley(const Function& f, double left, double right, int sign) {
  const int bits = std::numeric_limits<double>::digits / 2;  // no minimum is sharper than the root of eps
  const auto height = [&](double x) { return sign * f(x); };
  return boost::math::tools::brent_find_minima(height, left, right, bits).first;
}

}  // namespace

int decided_sign(double value) { return (value > resolution) - (value < -resolution); }

std::vector<Decided> decided_signs(const Function& f, double low, double high) {
  const std::vector<double> x = ladder(low, high);
  std::vector<double> values;
  for (double place : x) values.push_back(f(place));

  std::vector<Decided> signs;
  const auto add = [&](double place, double value) {
    if (const int sign = decided_sign(value); sign != 0) signs.push_back({place, sign});
  };
  for (std::size_t i = 0; i < x.size(); ++i) {
    double bottom = x[i];
    if (is_valley(values, i)) bottom = bottom_of_valley(f, x[i - 1], x[i + 1], decided_sign(values[i]));
    if (bottom < x[i]) add(bottom, f(bottom));
    add(x[i], values[i]);
    if (bottom > x[i]) add(bottom, f(bottom));
  }
  return signs;
}

int lowest_sign(const Function& f, double low, double high) {
  for (double x : ladder(low, high)) {
    if (const int sign = decided_sign(f(x)); sign != 0) return sign;
  }
  return 0;
}

double root_between(const Function& f, double a, double b) {
  if (a > b) std::swap(a, b);
  const double at_a = f(a);
  const double at_b = f(b);
  if (!(at_a <= 0 && at_b >= 0) && !(at_a >= 0 && at_b <= 0)) return std::numeric_limits<double>::quiet_NaN();
  std::uintmax_t iterations = 100;
  const boost::math::tools::eps_tolerance<double> to_the_last_bits(50);
  const auto [left, right] =
      boost::math::tools::toms748_solve(f, a, b, at_a, at_b, to_the_last_bits, iterations);
  return (left + right) / 2;
}

}  // namespace gradflow::theory
