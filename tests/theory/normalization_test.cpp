#include "gradflow/theory/normalization.hpp"

#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/theory/sphere.hpp"
#include "theory/brute_force.hpp"
#include "theory/simulation.hpp"

namespace gradflow::theory {
namespace {

using std::numbers::pi;

nn::Activation named(std::string_view name) { return nn::Activation::named(name); }

double arc_cosine_kernel(double c) { return (std::sqrt(1 - c * c) + (pi - std::acos(c)) * c) / pi; }

// What is printed with six digits is tested to half of the last.
constexpr double six_digits = 5e-7;

class Batch : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Sizes, Batch, testing::Values(4, 5, 16, 100, 4096));

TEST_P(Batch, HasTheEvenMomentsOfASphere) {
  // A coordinate of a unit vector in n dimensions has E u^4 = 3 / (n (n + 2)).
  const double n = GetParam() - 1;

  EXPECT_NEAR(sphere_mean([](double) { return 1.0; }, GetParam(), {}), 1, 1e-12);
  EXPECT_NEAR(sphere_mean([](double x) { return x * x; }, GetParam(), {}), 1, 1e-12);
  EXPECT_NEAR(sphere_mean([](double x) { return x * x * x * x; }, GetParam(), {}), 3 * n / (n + 2), 1e-11);
  EXPECT_NEAR(sphere_product_mean([](double x) { return x; }, GetParam(), {}), -1 / n, 1e-12);
}

TEST_P(Batch, HasTheArcCosineKernelOfRelu) {
  const double correlation = -1.0 / (GetParam() - 1);

  const double product = sphere_product_mean([](double x) { return std::max(x, 0.0); }, GetParam(), {0});
  const double both = sphere_product_mean([](double x) { return x > 0 ? 1.0 : 0.0; }, GetParam(), {0});

  EXPECT_NEAR(product, arc_cosine_kernel(correlation) / 2, 1e-10);
  EXPECT_NEAR(both, (pi - std::acos(correlation)) / (2 * pi), 1e-10);
}

TEST(SphereMean, OfTanhIsThatOfNormalisedNumbers) {
  constexpr int batch = 6;
  Random random(1);
  Vector products;
  for (int i = 0; i < 200000; ++i) {
    Vector x = random.vector(batch);
    double mean = 0;
    for (double value : x) mean += value / batch;
    for (double& value : x) value -= mean;
    const double deviation = std::sqrt(square(x) / batch);
    products.push_back(std::tanh(x[0] / deviation) * std::tanh(x[1] / deviation));
  }

  const Estimate sampled = estimate(products);

  EXPECT_NEAR(sphere_product_mean([](double x) { return std::tanh(x); }, batch, {}), sampled.mean,
              4 * sampled.error);
}

TEST(SphereMean, RefusesAnIntegrandItCannotIntegrate) {
  const Curve jumps = [](double x) { return x > 0.3 ? 1.0 : 0.0; };

  const Curve bends = [](double x) { return std::abs(x - 0.3); };

  EXPECT_THROW(sphere_mean(jumps, 16, {}), UserError);
  EXPECT_THROW(sphere_product_mean(bends, 16, {}), UserError);
  EXPECT_GT(sphere_mean(jumps, 16, {0.3}), 0);
}

TEST_P(Batch, HasTheClosedBatchNormRates) {
  const double b = GetParam();
  const double r = -1 / (b - 1);
  const double slope = (pi - std::acos(r)) / pi;
  const double j = arc_cosine_kernel(r);

  EXPECT_NEAR(batch_norm_rate(named("linear"), GetParam()), (b - 2) / (b - 3), 1e-13 * b);
  EXPECT_NEAR(batch_norm_rate(named("relu"), GetParam()), (b - 1 + slope) / ((b - 3) * (1 - j)) - 1 / (b - 3),
              1e-13 * b);  // n E d^2 cancels to order b
}

TEST(BatchNormRate, IsThePublishedOne) {
  EXPECT_NEAR(batch_norm_rate(named("relu"), 16), 1.589950, six_digits);
  EXPECT_NEAR(batch_norm_rate(named("relu")), pi / (pi - 1), 1e-14);
  EXPECT_EQ(batch_norm_rate(named("linear"), 3), std::numeric_limits<double>::infinity());
  EXPECT_THROW(batch_norm_rate(named("relu"), 1), BrokenPromise);
}

TEST(BatchNormRate, OfAnyActivationTendsToItsLimitLikeOneOverBatch) {
  for (const char* name : {"tanh", "gelu", "selu", "hard_tanh"}) {
    const double limit = batch_norm_rate(named(name));
    const double coarse = batch_norm_rate(named(name), 500) - limit;
    const double fine = batch_norm_rate(named(name), 1000) - limit;

    EXPECT_LT(std::abs(fine), 0.01) << name;
    EXPECT_NEAR(fine, coarse / 2, 0.01 * std::abs(coarse)) << name;  // the next term is another 1/500
    EXPECT_GT(limit, 1) << name;
  }
}

TEST(BatchNormRate, IsKnownForHugeBatchesAndSlopes) {
  // The next term of its series, c/B^3 with c below 1e3, and rounding of 1e-16 B.
  const double at_4096 = batch_norm_rate(named("gelu"), 4096), at_4097 = batch_norm_rate(named("gelu"), 4097);
  const double slope = (batch_norm_rate(named("gelu")) - at_4096) / 4096;
  EXPECT_NEAR(at_4097 - at_4096, slope, 1e-3 * std::abs(slope) + 1e-11);
  EXPECT_NEAR(batch_norm_rate(named("gelu"), 1000000), batch_norm_rate(named("gelu")), 1e-4);
  // elu of a steep slope is that of its exponential alone, however steep.
  const double steep = batch_norm_rate(nn::Activation::named("elu", 1e160), 16);
  EXPECT_NEAR(batch_norm_rate(nn::Activation::named("elu", 1e150), 16) / steep, 1, 1e-9);
}

TEST(LayerNormRate, IsThePublishedOne) {
  EXPECT_NEAR(layer_norm_rate(named("relu"), 1.7, 0), 1, 1e-14);
  EXPECT_NEAR(layer_norm_rate(named("tanh"), 0.3, 0), 1.177807, 1e-6);
  EXPECT_LT(layer_norm_rate(named("relu"), 1, 1), 1);
}

// --- networks in plain loops -------------------------------------------------------------------------------

enum class Over { batch, units };

struct Normalisation {
  const char* name;
  const char* activation;
  Over over;
  bool centred;
  bool after;
  double sigma_b;
  int batch;
  int width;
  int networks;

  double rate() const {
    const nn::Activation phi = named(activation);
    if (over == Over::batch) return after ? layer_norm_after_rate(phi, 1.2, 0) : batch_norm_rate(phi, batch);
    if (!after) return layer_norm_rate(phi, 1.2, sigma_b);
    return centred ? layer_norm_after_rate(phi, 1.2, sigma_b) : rms_norm_after_rate(phi, 1.2, sigma_b);
  }
};

/// y = (x - mean) / scale in place. @return scale
double normalise(Vector& x, bool centred) {
  const double n = double(x.size());
  double mean = 0;
  for (double value : x) mean += centred ? value / n : 0;
  for (double& value : x) value -= mean;
  const double scale = std::sqrt(square(x) / n);
  for (double& value : x) value /= scale;
  return scale;
}

/// dx of y = (x - mean) / scale.
Vector normalise_backward(const Vector& y, double scale, const Vector& dy, bool centred) {
  const double n = double(y.size());
  double mean = 0;
  for (double value : dy) mean += centred ? value / n : 0;
  const double along = dot(y, dy) / n;
  Vector dx(y.size());
  for (std::size_t i = 0; i < y.size(); ++i) dx[i] = (dy[i] - mean - y[i] * along) / scale;
  return dx;
}

using Samples = std::vector<Vector>;  // [batch][units]

Samples transposed(const Samples& x) {
  Samples y(x[0].size(), Vector(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < x[0].size(); ++j) y[j][i] = x[i][j];
  }
  return y;
}

/// One normalisation of a batch that remembers what its backward pass needs.
struct NormLayer {
  Over over;
  bool centred;
  Samples y;  // rows are what is normalised together
  Vector scales;

  Samples forward(const Samples& x) {
    y = over == Over::batch ? transposed(x) : x;
    scales.clear();
    for (Vector& row : y) scales.push_back(normalise(row, centred));
    return over == Over::batch ? transposed(y) : y;
  }
  Samples backward(const Samples& d) const {
    Samples rows = over == Over::batch ? transposed(d) : d;
    for (std::size_t i = 0; i < rows.size(); ++i)
      rows[i] = normalise_backward(y[i], scales[i], rows[i], centred);
    return over == Over::batch ? transposed(rows) : rows;
  }
};

double square_of(const Samples& x) {
  double sum = 0;
  for (const Vector& row : x) sum += square(row);
  return sum;
}

/// |dE/dz_l|^2 / |dE/dz_{l+1}|^2, the mean over inner layers of one network.
double measured_rate(const Normalisation& net, std::uint64_t seed) {
  constexpr int depth = 9;
  const nn::Activation phi = named(net.activation);
  const auto slope = [&](double z) { return phi.slope(z); };
  Random random(seed);
  std::vector<Matrix> weights;
  std::vector<NormLayer> norms(depth, NormLayer{net.over, net.centred, {}, {}});
  std::vector<Samples> argument;  // of phi
  Samples h;
  for (int s = 0; s < net.batch; ++s) h.push_back(random.vector(net.width));
  for (int l = 0; l < depth; ++l) {
    weights.push_back(random.matrix(net.width, 1.2));
    const Vector bias = random.vector(net.width, net.sigma_b);
    for (Vector& row : h) row = sum_of(product(weights.back(), row), bias);
    if (!net.after) h = norms[std::size_t(l)].forward(h);
    argument.push_back(h);
    for (Vector& row : h) row = each(row, [&](double z) { return phi.value(z); });
    if (net.after) h = norms[std::size_t(l)].forward(h);
  }
  Samples d;
  for (int s = 0; s < net.batch; ++s) d.push_back(random.vector(net.width));
  Vector squares;  // of dE/dz, from layer depth - 1 down
  for (int l = depth - 1; l-- > 0;) {
    for (Vector& row : d) row = transposed_product(weights[std::size_t(l + 1)], row);
    if (net.after) d = norms[std::size_t(l)].backward(d);
    for (std::size_t s = 0; s < d.size(); ++s) d[s] = times(d[s], each(argument[std::size_t(l)][s], slope));
    if (!net.after) d = norms[std::size_t(l)].backward(d);
    squares.push_back(square_of(d));
  }
  // The first factors remember the injected cotangent, the last the input.
  constexpr std::size_t first = 1, last = 6;
  return std::exp(std::log(squares[last] / squares[first]) / double(last - first));
}

class NormalisedNetwork : public testing::TestWithParam<Normalisation> {};
INSTANTIATE_TEST_SUITE_P(
    Kinds, NormalisedNetwork,
    testing::Values(Normalisation{"batch_linear", "linear", Over::batch, true, false, 0, 8, 160, 24},
                    Normalisation{"batch_relu", "relu", Over::batch, true, false, 0.3, 16, 160, 16},
                    Normalisation{"batch_tanh", "tanh", Over::batch, true, false, 0, 12, 160, 16},
                    Normalisation{"batch_gelu", "gelu", Over::batch, true, false, 0, 16, 160, 16},
                    Normalisation{"batch_after", "tanh", Over::batch, true, true, 0, 64, 512, 2},
                    Normalisation{"layer_tanh", "tanh", Over::units, true, false, 0.5, 2, 256, 24},
                    Normalisation{"rms_relu", "relu", Over::units, false, false, 0.5, 2, 256, 24},
                    Normalisation{"layer_after", "relu", Over::units, true, true, 0.5, 2, 256, 24},
                    Normalisation{"rms_after", "relu", Over::units, false, true, 0.5, 2, 256, 24}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_P(NormalisedNetwork, HasTheRateOfTheory) {
  const Normalisation& net = GetParam();
  Vector rates;
  for (int network = 0; network < net.networks; ++network)
    rates.push_back(measured_rate(net, 100 + std::uint64_t(network)));

  const Estimate measured = estimate(rates);

  // Finite width shifts a factor by at most 5/N; a batch that is not infinite by (B - 1) / (B - 3).
  const double finite = 5.0 / net.width + (net.over == Over::batch && net.after ? 2.0 / net.batch : 0);
  EXPECT_NEAR(measured.mean / net.rate(), 1, 4 * measured.error / net.rate() + finite);
}

}  // namespace
}  // namespace gradflow::theory
