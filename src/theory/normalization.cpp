#include "gradflow/theory/normalization.hpp"

#include <cmath>
#include <limits>

#include "gradflow/core/errors.hpp"
#include "gradflow/theory/moments.hpp"
#include "gradflow/theory/sphere.hpp"
#include "layer.hpp"

namespace gradflow::theory {
namespace {

/// Of one unit over a normalised batch; d = phi'(x).
struct BatchMoments {
  double square = 0;         ///< E phi^2
  double product = 0;        ///< E phi1 phi2
  double slope_square = 0;   ///< E d^2
  double slope_product = 0;  ///< E d1 d2
  double gain_square = 0;    ///< E (x d)^2
  double gain_product = 0;   ///< E x1 d1 x2 d2
};

/// The direction of a Gaussian is uniform on the sphere and apart from its length, so what is homogeneous of
/// degree 2 or 0 has the Gaussian's closed forms; x phi' = phi.
BatchMoments of_homogeneous(const Moments& moments, int batch) {
  const Scaled one = Scaled::of(1);
  const double correlation = -1.0 / (batch - 1);
  const double square = moments.square(one).value();
  const double product = moments.product(one, correlation).value();
  return {square, product, moments.slope_square(one).value(), moments.slope_product(one, correlation).value(),
          square, product};
}

/// Of phi over the power of two next to its largest slope: no size of it has a part in the rate.
BatchMoments by_quadrature(const nn::Activation& phi, int batch) {
  const std::vector<double> breaks = Moments(phi).breaks();
  const double unit = std::exp2(-std::ilogb(phi.sup_slope()));
  const Curve value = [&](double x) { return unit * phi.value(x); };
  const Curve slope = [&](double x) { return unit * phi.slope(x); };
  const Curve gain = [&](double x) { return unit * x * phi.slope(x); };
  const auto mean_square = [&](const Curve& f) {
    return sphere_mean([&](double x) { return f(x) * f(x); }, batch, breaks);
  };
  const auto mean_product = [&](const Curve& f) { return sphere_product_mean(f, batch, breaks); };
  return {mean_square(value),  mean_product(value), mean_square(slope),
          mean_product(slope), mean_square(gain),   mean_product(gain)};
}

/// Mean square and variance of phi at variance q.
struct Spread {
  double square = 0;
  double variance = 0;
  double slope_square = 0;
};

Spread spread_at(const nn::Activation& phi, double q) {
  const Moments moments(phi);
  const Scaled at = Scaled::of(q);
  const Scaled mean = moments.mean(at);
  const Scaled square = moments.square(at);
  return {square.value(), (square - mean * mean).value(), moments.slope_square(at).value()};
}

double rate_of(const BatchMoments& m, int batch) {
  const double b = batch;
  const double n = b - 1;
  const double own = n * m.slope_square - m.gain_square;
  const double shared = n * (m.slope_square - m.slope_product - m.gain_product) - m.gain_square;
  return b / ((b - 3) * n * (m.square - m.product)) * (own - shared / b);
}

/// Beyond, own and shared would cancel to order B, and the rate is its limit and two terms in 1/B.
constexpr int largest_batch = 4096;

/// r + x/B + y/B^2 through the rates of half the largest batch and of itself.
double of_huge_batch(const nn::Activation& phi, double batch) {
  const double limit = batch_norm_rate(phi);
  const double once = largest_batch * (batch_norm_rate(phi, largest_batch) - limit);          // x + y/B
  const double half = largest_batch / 2 * (batch_norm_rate(phi, largest_batch / 2) - limit);  // x + 2y/B
  return limit + (2 * once - half + (half - once) * largest_batch / batch) / batch;
}

}  // namespace

double batch_norm_rate(const nn::Activation& phi, int batch) {
  expect(batch >= 2, "a batch of at least 2");
  if (batch <= 3) return std::numeric_limits<double>::infinity();
  if (phi.positively_homogeneous()) return rate_of(of_homogeneous(Moments(phi), batch), batch);
  if (batch > largest_batch) return of_huge_batch(phi, batch);
  return rate_of(by_quadrature(phi, batch), batch);
}

double batch_norm_rate(const nn::Activation& phi) {
  const Spread spread = spread_at(phi, 1);
  return spread.slope_square / spread.variance;
}

double layer_norm_after_rate(const nn::Activation& phi, double sigma_w, double sigma_b) {
  const Spread spread = spread_at(phi, sigma_w * sigma_w + sigma_b * sigma_b);
  return sigma_w * sigma_w * spread.slope_square / spread.variance;
}

double layer_norm_rate(const nn::Activation& phi, double sigma_w, double sigma_b) {
  const Layer layer(phi, sigma_w, sigma_b);
  const Scaled one = Scaled::of(1);
  return (layer.chi1(one) / layer.q_map(one)).value();
}

double rms_norm_after_rate(const nn::Activation& phi, double sigma_w, double sigma_b) {
  const Spread spread = spread_at(phi, sigma_w * sigma_w + sigma_b * sigma_b);
  return sigma_w * sigma_w * spread.slope_square / spread.square;
}

}  // namespace gradflow::theory
