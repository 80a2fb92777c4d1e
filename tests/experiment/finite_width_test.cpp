#include "gradflow/theory/finite_width.hpp"

#include <array>
#include <cmath>
#include <numbers>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "estimate.hpp"
#include "increments.hpp"

namespace gradflow::experiment {
namespace {

struct Way {
  const char* name;
  std::vector<double> (*increments)(const MeasuredPoint&);
};
constexpr std::array both_ways{Way{"forward", forward_increments}, Way{"backward", backward_increments}};

constexpr double root_two = std::numbers::sqrt2;
constexpr auto linear = theory::linear_increment;
constexpr auto relu = theory::relu_increment;

theory::Increment leaky(int units, double weight_variance) {
  return theory::leaky_relu_increment(units, weight_variance, 0.3);
}

struct Configuration {
  const char* name;
  int width;
  double sigma_w;
  theory::Increment (*law)(int units, double weight_variance);
  const char* scheme = "gaussian";

  std::string activation() const {
    return std::string(name) == "leaky_relu" ? R"({ name = "leaky_relu", slope = 0.3 })"
                                             : fmt::format("\"{}\"", name);
  }

  theory::Increment increment() const { return law(width, sigma_w * sigma_w / width); }

  std::vector<MeasuredPoint> measured(int depth, int seeds) const {
    return measure(fmt::format(R"(
      network = {{ activation = {}, depth = {}, width = {} }}
      init = {{ scheme = "{}", sigma_w = {:.17g} }}
      data = {{ batch = 1 }}
      statistics = {{ preset = "lean" }}
      sweep = {{ seed = {{ range = [0, {}] }} }}
    )",
                               activation(), depth, width, scheme, sigma_w, seeds));
  }
};

std::string name_of(const Configuration& c) { return fmt::format("{}_{}", c.name, c.width); }
std::ostream& operator<<(std::ostream& out, const Configuration& c) { return out << name_of(c); }
constexpr auto name = [](const auto& instance) { return name_of(instance.param); };

class FiniteWidth : public testing::TestWithParam<Configuration> {};
INSTANTIATE_TEST_SUITE_P(
    Networks, FiniteWidth,
    testing::Values(Configuration{"linear", 32, 1, linear}, Configuration{"linear", 100, 1, linear},
                    Configuration{"linear", 256, 1, linear}, Configuration{"relu", 32, root_two, relu},
                    Configuration{"relu", 100, root_two, relu}, Configuration{"relu", 256, root_two, relu},
                    Configuration{"leaky_relu", 64, 1.3, leaky}),
    name);

// linear: s = ln(v chi^2_N); relu: s = ln(v chi^2_M), M ~ Binomial(N, 1/2); v = sigma_w^2/N. One law for both
// ways, and independent over layers: the neighbours' correlation is 0 and the variance of a sum of 10 is 10
// variances.
TEST_P(FiniteWidth, IncrementsHaveTheMeanVarianceAndIndependenceOfTheExactLaw) {
  const theory::Increment law = GetParam().increment();

  const std::vector<MeasuredPoint> networks = GetParam().measured(200, 24);

  for (const Way& way : both_ways) {
    SCOPED_TRACE(way.name);
    const std::vector<double> s = all_increments(networks, way.increments);
    expect_law(mean_of(s), law.mean);
    expect_law(variance_of(s), law.variance);
    expect_law(lag_one_correlation(s), 0);
    expect_law(variance_of(sums_of(10, s)), 10 * law.variance);
  }
}

class UnbiasedGain : public testing::TestWithParam<Configuration> {};
INSTANTIATE_TEST_SUITE_P(Published, UnbiasedGain,
                         testing::Values(Configuration{"linear", 100, 1.005029, linear},
                                         Configuration{"relu", 100, 1.432304, relu}),
                         name);

// E s = 0 (Sussillo & Abbott 2014). Over these 999 factors gain 1 would drift by -10 and sqrt(2) by -25, 9
// and 14 standard errors.
TEST_P(UnbiasedGain, LeavesARandomWalkWithoutDriftOverAThousandLayers) {
  const int depth = 1000, seeds = 16;
  const double standard_error = std::sqrt((depth - 1) * GetParam().increment().variance / seeds);

  const std::vector<MeasuredPoint> networks = GetParam().measured(depth, seeds);

  for (const Way& way : both_ways) {
    SCOPED_TRACE(way.name);
    const double displacement = sum_of(all_increments(networks, way.increments)) / seeds;
    expect_law({displacement, standard_error}, 0);
  }
}

// log of the mean: E |x_L|^2 / |x_1|^2 = 1. Mean of the logs: 16 E s = -0.41. The mean square of a network is
// heavy-tailed, E (|x_L|^2 / |x_1|^2)^2 = (1 + 5/N)^16: at 5 L/N = 0.8 two thousand networks still show it.
TEST(HeRelu, KeepsTheMeanSquaredNormWhileTheTypicalNetworkShrinks) {
  const int factors = 16, width = 100, seeds = 2000;
  const Configuration he{"relu", width, root_two, relu};
  const double second_moment = theory::squared_norm_second_moment(0, std::vector<int>(factors, width));

  const std::vector<MeasuredPoint> networks = he.measured(factors + 1, seeds);

  for (const Way& way : both_ways) {
    SCOPED_TRACE(way.name);
    std::vector<double> ratio, logarithm;
    for (const MeasuredPoint& network : networks) {
      logarithm.push_back(sum_of(way.increments(network)));
      ratio.push_back(std::exp(logarithm.back()));
    }
    const theory::Increment law = he.increment();
    expect_law({mean_of(ratio).value, std::sqrt((second_moment - 1) / seeds)}, 1);
    expect_law({mean_of(logarithm).value, std::sqrt(factors * law.variance / seeds)}, factors * law.mean);
  }
}

struct SecondMoment {
  const char* name;
  Configuration network;
  double per_layer;  ///< at 64 units, of a network that keeps E |h|^2
  bool holds_backward;

  friend std::ostream& operator<<(std::ostream& out, const SecondMoment& x) { return out << x.name; }
};

// kappa = 6 (1 + a^4)/(1 + a^2)^2 - 1: 5 for relu, 2 for linear; a Haar-orthogonal layer divides by n + 2.
constexpr double kappa_of_leaky = 6 * (1 + 0.3 * 0.3 * 0.3 * 0.3) / (1.09 * 1.09) - 1;
const double keeps_leaky = std::sqrt(2 / 1.09);

class SecondMoments : public testing::TestWithParam<SecondMoment> {};
INSTANTIATE_TEST_SUITE_P(
    Networks, SecondMoments,
    testing::Values(
        SecondMoment{"linear", {"linear", 64, 1, linear}, 1 + 2.0 / 64, true},
        SecondMoment{"relu", {"relu", 64, root_two, relu}, 1 + 5.0 / 64, true},
        SecondMoment{"leaky_relu", {"leaky_relu", 64, keeps_leaky, leaky}, 1 + kappa_of_leaky / 64, true},
        SecondMoment{
            "orthogonal_relu", {"relu", 64, root_two, relu, "orthogonal"}, (64.0 + 5) / (64 + 2), false},
        SecondMoment{"orthogonal_leaky_relu",
                     {"leaky_relu", 64, keeps_leaky, leaky, "orthogonal"},
                     (64 + kappa_of_leaky) / (64 + 2),
                     false}),
    [](const auto& instance) { return instance.param.name; });

// E (|x_L|^2/|x_1|^2)^2 over three factors. Without the heavy tail that 5 L/N = 0.23 leaves far away, the
// spread of 3000 networks says how well their mean is known. Backward, an orthogonal matrix remembers how it
// turned the signal.
TEST_P(SecondMoments, OfSquaredNormsMultiplyOverLayers) {
  const int factors = 3, seeds = 3000;

  const std::vector<MeasuredPoint> networks = GetParam().network.measured(factors + 1, seeds);

  for (const Way& way : both_ways) {
    if (way.increments == backward_increments && !GetParam().holds_backward) continue;
    SCOPED_TRACE(way.name);
    std::vector<double> ratio, square;
    for (const MeasuredPoint& network : networks) {
      ratio.push_back(std::exp(sum_of(way.increments(network))));
      square.push_back(ratio.back() * ratio.back());
    }
    expect_law(mean_of(ratio), 1);
    expect_law(mean_of(square), std::pow(GetParam().per_layer, factors));
  }
}

struct Scheme {
  const char* name;
  const char* init;                                   ///< its table in the sweep file
  double (*variance)(double fan_in, double fan_out);  ///< of W

  friend std::ostream& operator<<(std::ostream& out, const Scheme& x) { return out << x.name; }
};

class UnequalWidths : public testing::TestWithParam<Scheme> {};
INSTANTIATE_TEST_SUITE_P(Schemes, UnequalWidths,
                         testing::Values(Scheme{"he_normal", R"(scheme = "he_normal")",
                                                [](double in, double) { return 2 / in; }},
                                         Scheme{"glorot_normal", R"(scheme = "glorot_normal")",
                                                [](double in, double out) { return 2 / (in + out); }},
                                         Scheme{"gaussian", R"(scheme = "gaussian", sigma_w = 1.3)",
                                                [](double in, double) { return 1.69 / in; }}),
                         [](const auto& instance) { return instance.param.name; });

// ReLU: E |h_L|^2 = n_0 prod_{l=1..L} v_l n_l/2 and E |dE/dz_1|^2 = n_L prod_{l=2..L} v_l n_{l-1}/2. Relative
// second moments: 1 + 2/n of the normal data and cotangents, 1 + 5/n_l of each layer passed.
TEST_P(UnequalWidths, ForwardNormGrowsWithTheFanOutAndBackwardNormWithTheFanIn) {
  const int seeds = 1000;
  const std::vector<double> n{50, 200, 100, 400};
  double forward = n[0], forward_moment = 1 + 2 / n[0];
  double backward = n[3], backward_moment = 1 + 2 / n[3];
  for (std::size_t l = 1; l <= 3; ++l) {
    const double v = GetParam().variance(n[l - 1], n[l]);
    forward *= v * n[l] / 2;
    forward_moment *= 1 + 5 / n[l];
    if (l == 1) continue;
    backward *= v * n[l - 1] / 2;
    backward_moment *= 1 + 5 / n[l - 1];
  }

  const std::vector<MeasuredPoint> networks = measure(fmt::format(R"(
    network = {{ activation = "relu", widths = [50, 200, 100, 400] }}
    init = {{ {} }}
    data = {{ batch = 1 }}
    statistics = {{ preset = "lean" }}
    sweep = {{ seed = {{ range = [0, {}] }} }}
  )",
                                                                  GetParam().init, seeds));

  std::vector<double> h, dz;
  for (const MeasuredPoint& network : networks) {
    h.push_back(std::pow(10, network.column("act_log10_q")[2]) * n[3]);
    dz.push_back(std::pow(10, 2 * network.column("dgrad_log10_norm_mean")[0]));
  }

  expect_law({mean_of(h).value / forward, std::sqrt((forward_moment - 1) / seeds)}, 1);
  expect_law({mean_of(dz).value / backward, std::sqrt((backward_moment - 1) / seeds)}, 1);
}

}  // namespace
}  // namespace gradflow::experiment
