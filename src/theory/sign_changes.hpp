#pragma once

#include <functional>
#include <vector>

namespace gradflow::theory {

/// Of x = log2 q: variances of any size are an ordinary interval of it.
using Function = std::function<double(double)>;

/// Differences of order 1 below this are rounding and the quadrature's error.
inline constexpr double resolution = 1e-12;

/// 0 within `resolution` of 0 and for NaN: such a value has no sign.
int decided_sign(double value);

/// A place where f has a sign.
struct Decided {
  double x = 0;
  int sign = 0;
};

/// The signs of f over [low, high], ascending in x, close enough to see every change between them.
///
/// Steps of 1/8 where q is of the order of an activation's features, and growing with |x| beyond, where q'
/// becomes a power law. Between two steps f may change sign twice: where |f| has a minimum among the steps,
/// the minimum itself is looked for (Brent's method).
std::vector<Decided> decided_signs(const Function& f, double low, double high);

/// The sign of f at the lowest place that has one; 0 if there is none.
int lowest_sign(const Function& f, double low, double high);

/// Where f changes sign between a and b; NaN if it does not.
double root_between(const Function& f, double a, double b);

}  // namespace gradflow::theory
