#include "gradflow/theory/gaussian.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include <boost/math/quadrature/gauss.hpp>
#include <fmt/format.h>

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

/// Where panels end on both sides of z = 0: 20 points resolve exp(-4|z|) and poles at distance 1 to 1e-12 in
/// each. Beyond the last, exp(-|z|) is below 1e-23.
constexpr std::array features{2.0, 6.0, 18.0, 54.0};

// 15 points a panel have the error of 20 to the power of 3/4. Over the catalogue they differ by at most 2e-9
// of E |f|.
constexpr double panels_may_differ = 1e-7;

double density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }

struct Node {
  double x = 0;
  double weight = 0;
};

// The error of step h is exp(y^2 / 2 - 2 pi y / h), y being the distance of f's poles from the real axis, or
// 2 pi / h if that is less. The nearest poles of the catalogue are those of arctan', y = 1 / deviation: below
// 1e-14 for any deviation, times a factor of order 10 for double poles.
double trapezoid_step(double deviation) { return std::min(0.5, 0.18 / deviation); }

/// What twice the step may differ by, of E |f|: its own error with a factor for poles of any order. Over the
/// catalogue it is below a quarter of this; a kink is above.
double nodes_may_differ(double deviation) {
  const double frequency = std::numbers::pi / trapezoid_step(deviation);
  const double y = std::min(1 / deviation, frequency);
  return 4e3 * std::exp(y * y / 2 - y * frequency);
}

std::vector<Node> trapezoid(double deviation) {
  const double h = trapezoid_step(deviation);
  const int half = int(std::ceil(reach / h));
  std::vector<Node> nodes;
  for (int j = -half; j <= half; ++j) nodes.push_back({j * h, h * density(j * h)});
  return nodes;
}

[[noreturn]] void refuse(double deviation) {
  throw UserError(
      fmt::format("theory: a mean over N(0, {:.3g}^2) does not converge to 1e-10; the activation has a kink "
                  "that its row in the "
                  "catalogue does not name",
                  deviation));
}

class GaussianMean {
 public:
  GaussianMean(const Curve& f, double deviation, const Shape& shape)
      : f_(f), deviation_(deviation), shape_(shape) {
    if (deviation > 0 && deviation <= widest_for_trapezoid) nodes_ = trapezoid(deviation);
  }

  double operator()(double mean) const {
    if (deviation_ == 0) return f_(mean);
    return needs_panels(mean) ? by_panels<20>(mean).value : by_nodes(mean, 1).value;
  }

  /// The same, compared with a coarser rule. @throws UserError if the two say that it has not converged
  double checked(double mean) const {
    if (deviation_ == 0) return f_(mean);
    const bool panels = needs_panels(mean);
    const Sum fine = panels ? by_panels<20>(mean) : by_nodes(mean, 1);
    const Sum coarse = panels ? by_panels<15>(mean) : by_nodes(mean, 2);
    const double allowed = (panels ? panels_may_differ : nodes_may_differ(deviation_)) * fine.size;
    // What is no number any more is the caller's to judge.
    if (std::isfinite(fine.size) && std::abs(fine.value - coarse.value) > allowed) refuse(deviation_);
    return fine.value;
  }

 private:
  /// E f and E |f|.
  struct Sum {
    double value = 0;
    double size = 0;
  };

  bool needs_panels(double mean) const { return nodes_.empty() || sees_break(mean); }

  /// Every `stride`-th node.
  Sum by_nodes(double mean, std::size_t stride) const {
    Sum sum;
    for (std::size_t i = 0; i < nodes_.size(); i += stride) {
      const double term = nodes_[i].weight * f_(mean + deviation_ * nodes_[i].x);
      sum.value += term;
      sum.size += std::abs(term);
    }
    return {double(stride) * sum.value, double(stride) * sum.size};
  }

  bool sees_break(double mean) const {
    return std::ranges::any_of(shape_.breaks,
                               [&](double z) { return std::abs(z - mean) < reach * deviation_; });
  }

  template <int points>
  Sum by_panels(double mean) const {
    const auto integrand = [&](double x) { return f_(mean + deviation_ * x) * density(x); };
    const std::vector<double> cuts = panel_cuts(mean);
    Sum sum;
    for (std::size_t i = 1; i < cuts.size(); ++i) {
      double size = 0;
      sum.value +=
          boost::math::quadrature::gauss<double, points>::integrate(integrand, cuts[i - 1], cuts[i], &size);
      sum.size += size;
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
    for (double z : shape_.breaks) cut_at(z);
    if (deviation_ > widest_for_even_panels) {
      for (double z : feature_ends(std::abs(mean) + reach * deviation_)) cut_at(z);
    }
    std::ranges::sort(cuts);
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    return cuts;
  }

  /// 0 and +-features; powers of z go on to `farthest` in eightfold panels.
  std::vector<double> feature_ends(double farthest) const {
    std::vector<double> ends(features.begin(), features.end());
    for (double z = 8 * features.back(); shape_.algebraic_tails && z < farthest; z *= 8) ends.push_back(z);
    const std::size_t one_side = ends.size();
    for (std::size_t i = 0; i < one_side; ++i) ends.push_back(-ends[i]);
    ends.push_back(0);
    return ends;
  }

  const Curve& f_;
  double deviation_;
  const Shape& shape_;
  std::vector<Node> nodes_;
};

/// The shape of f(z) E[f(z2) | z1 = z], where z2 = c z + blur * x: breaks as f, and edges where z2's breaks
/// blur. For a wide blur all that happens around 0 is one more break.
Shape blurred(const Shape& shape, double blur, double c) {
  Shape product = shape;
  std::vector<double> centers = shape.breaks;
  if (blur > widest_for_even_panels) centers.push_back(0);
  for (double z : centers) {
    for (int i = -2; c != 0 && i <= 2; ++i) product.breaks.push_back((z + i * panel_width * blur) / c);
  }
  return product;
}

}  // namespace

double gaussian_mean(const Curve& f, double mean, double deviation, const Shape& shape) {
  return GaussianMean(f, deviation, shape).checked(mean);
}

double gaussian_product_mean(const Curve& f, double deviation, double c, const Shape& shape) {
  expect(std::abs(c) <= 1, "a correlation in [-1, 1]");
  const double blur = deviation * std::sqrt((1 - c) * (1 + c));
  const GaussianMean given(f, blur, shape);
  const Curve outer = [&](double z) { return f(z) * given(c * z); };
  const Shape product = blurred(shape, blur, c);
  return GaussianMean(outer, deviation, product)(0);
}

}  // namespace gradflow::theory
