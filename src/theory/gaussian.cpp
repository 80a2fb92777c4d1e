#include "gradflow/theory/gaussian.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include <boost/math/quadrature/gauss.hpp>

#include "gradflow/core/errors.hpp"

namespace gradflow::theory {
namespace {

/// The Gaussian beyond holds 2e-17 of the weight, and 1e-15 of the weight of x^2.
constexpr double reach = 8.5;

/// A panel of 20 Gauss-Legendre points this wide integrates the density to 1e-20 of its largest value.
constexpr double panel_width = reach / 2;

/// Up to here the trapezoidal rule needs fewer points than panels do.
constexpr double widest_for_trapezoid = 4;

/// From here on features of size 1 are narrow against a panel.
constexpr double widest_for_even_panels = 1;

double density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }

struct Node {
  double x = 0;
  double weight = 0;
};

// The error of step h is exp(y^2 / 2 - 2 pi y / h), y being the distance of f's poles from the real axis, or
// 2 pi / h if that is less. The nearest poles of the catalogue are those of arctan', y = 1 / deviation: below
// 1e-14 for any deviation, times a factor of order 10 for double poles.
std::vector<Node> trapezoid(double deviation) {
  const double h = std::min(0.5, 0.18 / deviation);
  const int half = int(std::ceil(reach / h));
  std::vector<Node> nodes;
  for (int j = -half; j <= half; ++j) nodes.push_back({j * h, h * density(j * h)});
  return nodes;
}

class GaussianMean {
 public:
  GaussianMean(const Curve& f, double deviation, std::span<const double> breaks)
      : f_(f), deviation_(deviation), breaks_(breaks) {
    if (deviation > 0 && deviation <= widest_for_trapezoid) nodes_ = trapezoid(deviation);
  }

  double operator()(double mean) const {
    if (deviation_ == 0) return f_(mean);
    if (nodes_.empty() || sees_break(mean)) return by_panels(mean);
    double sum = 0;
    for (const Node& node : nodes_) sum += node.weight * f_(mean + deviation_ * node.x);
    return sum;
  }

 private:
  bool sees_break(double mean) const {
    return std::ranges::any_of(breaks_, [&](double z) { return std::abs(z - mean) < reach * deviation_; });
  }

  double by_panels(double mean) const {
    const auto integrand = [&](double x) { return f_(mean + deviation_ * x) * density(x); };
    const std::vector<double> cuts = panel_cuts(mean);
    double sum = 0;
    for (std::size_t i = 1; i < cuts.size(); ++i) {
      sum += boost::math::quadrature::gauss<double, 20>::integrate(integrand, cuts[i - 1], cuts[i]);
    }
    return sum;
  }

  /// Ascending, without repetition, from -reach to reach.
  std::vector<double> panel_cuts(double mean) const {
    std::vector<double> cuts;
    for (int i = -2; i <= 2; ++i) cuts.push_back(i * panel_width);
    const auto cut_at = [&](double z) {
      const double x = (z - mean) / deviation_;
      if (std::abs(x) < reach) cuts.push_back(x);
    };
    for (double z : breaks_) cut_at(z);
    if (deviation_ > widest_for_even_panels) {
      cut_at(0);
      for (double z = 4; z < std::abs(mean) + reach * deviation_; z *= 2) {
        cut_at(z);
        cut_at(-z);
      }
    }
    std::ranges::sort(cuts);
    cuts.erase(std::ranges::unique(cuts).begin(), cuts.end());
    return cuts;
  }

  const Curve& f_;
  double deviation_;
  std::span<const double> breaks_;
  std::vector<Node> nodes_;
};

/// The breaks of f(z) E[f(z2) | z1 = z], where z2 = c z + blur * x: those of f, and the edges of its blurred
/// breaks.
std::vector<double> blurred(std::span<const double> breaks, double blur, double c) {
  std::vector<double> edges(breaks.begin(), breaks.end());
  if (c == 0) return edges;
  for (double z : breaks) {
    for (int i = -2; i <= 2; ++i) edges.push_back((z + i * panel_width * blur) / c);
  }
  return edges;
}

}  // namespace

double gaussian_mean(const Curve& f, double mean, double deviation, std::span<const double> breaks) {
  return GaussianMean(f, deviation, breaks)(mean);
}

double gaussian_product_mean(const Curve& f, double deviation, double c, std::span<const double> breaks) {
  expect(std::abs(c) <= 1, "a correlation in [-1, 1]");
  const double blur = deviation * std::sqrt((1 - c) * (1 + c));
  const GaussianMean given(f, blur, breaks);
  const Curve outer = [&](double z) { return f(z) * given(c * z); };
  const std::vector<double> edges = blurred(breaks, blur, c);
  return GaussianMean(outer, deviation, edges)(0);
}

}  // namespace gradflow::theory
