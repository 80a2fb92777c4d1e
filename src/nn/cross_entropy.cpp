#include "cross_entropy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gradflow/core/rescale.hpp"

namespace gradflow::nn {
namespace {

/// mantissa * 2^exponent
struct Exponential {
  double mantissa = 0;
  std::int64_t exponent = std::numeric_limits<std::int64_t>::min();
};

/// e^t for t <= 0; zero if its exponent would leave 2^30. The error is that of t.
Exponential exponential(double t) {
  constexpr double ln2 = 0x1.62e42fefa39efp-1, rest_of_ln2 = 0x1.abc9e3b39803fp-56;
  if (t < -double(largest_exponent) * ln2) return {};
  const double k = std::rint(t / ln2);
  return {std::exp(std::fma(-k, rest_of_ln2, std::fma(-k, ln2, t))), std::int64_t(k)};
}

double at_exponent(Exponential x, std::int64_t exponent) {
  return std::ldexp(x.mantissa, int(std::max<std::int64_t>(x.exponent - exponent, -4000)));
}

/// e^(z_j - max z) of every class.
template <class Real>
std::vector<Exponential> exponentials(std::span<const Real> z, std::int32_t exponent) {
  const double largest = *std::ranges::max_element(z);
  std::vector<Exponential> all;
  for (const Real v : z) {
    all.push_back(exponential(std::ldexp(double(v) - largest, std::clamp(exponent, -4000, 4000))));
  }
  return all;
}

}  // namespace

template <class Real>
FailureCode cross_entropy_gradient(std::span<Real> row, std::int32_t& exponent, int classes, int label) {
  const std::span<Real> z = row.first(std::size_t(classes));
  std::vector<Exponential> p = exponentials(std::span<const Real>(z), exponent);
  double sum = 0;  // at least 1: that of the largest
  for (const Exponential& x : p) sum += at_exponent(x, 0);

  p[std::size_t(label)] = {};  // from here on, the others
  const std::int64_t common = std::ranges::max(p, {}, &Exponential::exponent).exponent;
  std::ranges::fill(row, Real(0));
  exponent = 0;
  if (classes == 1) return FailureCode::none;
  if (common < -std::int64_t(largest_exponent)) return FailureCode::exponent_overflow;
  double others = 0;
  for (std::size_t j = 0; j < p.size(); ++j) {
    const double value = at_exponent(p[j], common) / sum;
    others += value;
    z[j] = Real(value);
  }
  z[std::size_t(label)] = Real(-others);
  exponent = std::int32_t(common);
  return rescale(row, exponent);
}

template FailureCode cross_entropy_gradient(std::span<float>, std::int32_t&, int, int);
template FailureCode cross_entropy_gradient(std::span<double>, std::int32_t&, int, int);

}  // namespace gradflow::nn
