#include "gradflow/theory/sphere.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <boost/math/quadrature/tanh_sinh.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <fmt/format.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::theory {
namespace {

using std::numbers::pi;

// Differences of successive levels, of the integral of |f|: each level squares the error of an analytic f. A
// kink inside a panel stays far above at the last level.
constexpr double wanted_difference = 1e-7;
constexpr double allowed_difference = 1e-6;

[[noreturn]] void refuse(int batch) {
  throw UserError(
      fmt::format("theory: an integral over batches of {} does not converge to 1e-10; the activation has a "
                  "kink that its row in the "
                  "catalogue does not name",
                  batch));
}

/// The integral of g(angle) sin^power(angle) over [0, pi], cut at `cuts`; what is below 1e-17 is left out.
class AngleIntegral {
 public:
  explicit AngleIntegral(int power) : power_(power) {
    const double half_width = std::min(pi / 2, 9 / std::sqrt(std::max(power, 1)));
    low_ = pi / 2 - half_width;
    high_ = pi / 2 + half_width;
    total_ = std::sqrt(pi) * boost::math::tgamma_delta_ratio((power + 1) / 2.0, 0.5);
  }

  struct Mean {
    double value = 0;
    bool converged = false;
  };

  /// The mean of g under the weight sin^power.
  Mean mean(const Curve& g, std::vector<double> cuts) const {
    for (double& cut : cuts) cut = std::clamp(cut, low_, high_);
    cuts.push_back(low_);
    cuts.push_back(high_);
    cuts.push_back(pi / 2);  // else what is odd would look as if it had converged at once
    std::ranges::sort(cuts);
    const auto integrand = [&](double angle) { return g(angle) * weight(angle); };
    double sum = 0, error = 0, size = 0;
    for (std::size_t i = 1; i < cuts.size(); ++i) {
      if (cuts[i] - cuts[i - 1] < 1e-14) continue;
      double panel_error = 0, panel_size = 0;
      sum += rule().integrate(integrand, cuts[i - 1], cuts[i], wanted_difference, &panel_error, &panel_size);
      error += panel_error;
      size += panel_size;
    }
    return {sum / total_, error <= allowed_difference * size};
  }

 private:
  static boost::math::quadrature::tanh_sinh<double>& rule() {
    thread_local boost::math::quadrature::tanh_sinh<double> levels(8);
    return levels;
  }

  double weight(double angle) const {
    const double sine = std::sin(angle);
    return power_ == 0 ? 1 : sine <= 0 ? 0 : std::exp(power_ * std::log(sine));
  }

  int power_;
  double low_;
  double high_;
  double total_;
};

/// arccos; the nearer end where |x| > 1.
double angle_of(double x) { return std::acos(std::clamp(x, -1.0, 1.0)); }

/// The breaks as angles of x = radius cos(angle).
std::vector<double> angles_of(const std::vector<double>& breaks, double radius) {
  std::vector<double> angles;
  for (double z : breaks) angles.push_back(angle_of(z / radius));
  return angles;
}

}  // namespace

double sphere_mean(const Curve& f, int batch, const std::vector<double>& breaks) {
  expect(batch >= 4, "a batch of at least 4");
  const int dimension = batch - 1;
  const double radius = std::sqrt(dimension);
  const AngleIntegral latitude(dimension - 2);
  const auto mean =
      latitude.mean([&](double angle) { return f(radius * std::cos(angle)); }, angles_of(breaks, radius));
  if (!mean.converged) refuse(batch);
  return mean.value;
}

double sphere_product_mean(const Curve& f, int batch, const std::vector<double>& breaks) {
  expect(batch >= 4, "a batch of at least 4");
  const int dimension = batch - 1;
  const double radius = std::sqrt(dimension);
  const double correlation = -1.0 / dimension;
  const double between = std::acos(correlation);  // the angle between the axes of two samples
  const AngleIntegral latitude(dimension - 2);
  const AngleIntegral longitude(dimension - 3);

  // Inner integrals that are nearly 0 cannot be judged by themselves. This one refuses what they could not
  // resolve.
  sphere_mean(f, batch, breaks);

  const Curve inner = [&](double angle) {
    const double center = radius * correlation * std::cos(angle);
    const double reach = radius * std::sqrt((1 - correlation) * (1 + correlation)) * std::sin(angle);
    if (reach == 0) return f(radius * std::cos(angle)) * f(center);
    std::vector<double> cuts;
    for (double z : breaks) cuts.push_back(angle_of((z - center) / reach));
    return f(radius * std::cos(angle)) *
           longitude.mean([&](double turn) { return f(center + reach * std::cos(turn)); }, cuts).value;
  };
  // Besides its own breaks, the outer integrand has those where the second sample's leave its range.
  std::vector<double> cuts = angles_of(breaks, radius);
  for (double z : breaks) {
    const double angle = angle_of(z / radius);
    for (double cut : {between - angle, between + angle, angle - between, 2 * pi - between - angle})
      cuts.push_back(cut);
  }
  return latitude.mean(inner, cuts).value;
}

}  // namespace gradflow::theory
