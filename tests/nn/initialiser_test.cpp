#include "gradflow/nn/initialiser.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/catalogue.hpp"
#include "gradflow/core/haar.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/core/random.hpp"

namespace gradflow::nn {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::uint64_t seed = 17;
constexpr double ulp = std::numeric_limits<double>::epsilon();

/// Var(W) as the documentation of each scheme states it, written down a second time.
using Formula = double (*)(double sigma_w, double gain, double fan_in, double fan_out);
const std::map<std::string_view, Formula> stated_variance{
    {"gaussian", [](double s, double, double n, double) { return s * s / n; }},
    {"uniform", [](double s, double, double n, double) { return s * s / n; }},
    {"truncated_normal", [](double s, double, double n, double) { return s * s / n; }},
    {"truncated_normal_raw",
     [](double s, double, double n, double) { return 0.7737413035499232 * s * s / n; }},
    {"orthogonal", [](double s, double, double n, double m) { return s * s / std::max(n, m); }},
    {"identity", [](double s, double, double n, double m) { return s * s / std::max(n, m); }},
    {"he_normal", [](double, double g, double n, double) { return 2 * g * g / n; }},
    {"he_uniform", [](double, double g, double n, double) { return 2 * g * g / n; }},
    {"glorot_normal", [](double, double g, double n, double m) { return 2 * g * g / (n + m); }},
    {"glorot_uniform", [](double, double g, double n, double m) { return 2 * g * g / (n + m); }},
    {"lecun_normal", [](double, double g, double n, double) { return g * g / n; }},
    {"lecun_uniform", [](double, double g, double n, double) { return g * g / n; }},
    {"kaiming_normal", [](double, double g, double n, double) { return g * g / n; }},
    {"kaiming_uniform", [](double, double g, double n, double) { return g * g / n; }},
    {"pytorch_default", [](double, double, double n, double) { return 1 / (3 * n); }},
    {"critical", [](double s, double, double n, double) { return s * s / n; }},
    {"random_walk", [](double s, double, double n, double) { return s * s / n; }},
    {"sparse", [](double s, double, double n, double) { return s * s / n; }},
    {"looks_linear", [](double s, double, double n, double) { return s * s / n; }},
    {"mup", [](double s, double, double n, double) { return s * s / n; }},  // of all layers but the last
    {"lsuv", [](double, double g, double n, double m) { return g * g / std::max(n, m); }},  // of gain * Q
    {"fixup", [](double, double g, double n, double) { return 2 * g * g / n; }},  // of a single block
    {"deepnorm",
     [](double, double g, double n, double m) { return 2 * g * g / (n + m); }},  // without its factor
};

/// E z^4 / (E z^2)^2; 1 where the mean square of a matrix is no random number.
double kurtosis(Distribution distribution, double fan_in) {
  const double pdf = std::exp(-2.0) / std::sqrt(2 * M_PI) / std::erf(std::sqrt(2.0)), m2 = 1 - 4 * pdf;
  switch (distribution) {
    case Distribution::normal:
      return 3;
    case Distribution::uniform:
      return 9.0 / 5;
    case Distribution::truncated_normal:
      return (3 * m2 - 16 * pdf) / (m2 * m2);
    case Distribution::sparse:  // the number of zeros is no random number either
      return 1 + 2 * fan_in / usual_nonzeros;
    case Distribution::looks_linear:  // every number stands four times
      return 1 + 4 * 2;
    default:
      return 1;
  }
}

Initialisation with_its_parameter(const SchemeRow& row, double value) {
  if (row.takes_sigma_w()) return Initialisation::make(row.name, value);
  if (row.default_gain != 0) return Initialisation::make(row.name, {}, {}, value);
  Initialisation init = Initialisation::make(row.name);
  init.sigma_w = value;  // as whoever solves it would
  return init;
}

class EveryScheme : public testing::TestWithParam<SchemeRow> {};

TEST_P(EveryScheme, HasItsStatedVariance) {
  constexpr int fan_in = 300, fan_out = 200;
  const Initialisation init = with_its_parameter(GetParam(), 1.7);

  const auto z = unit_weights<double>(*init.scheme, seed, 1, fan_in, fan_out);
  const double mean_square =
      frobenius_squared(z).value() * std::pow(init.weight_scale(fan_in, fan_out), 2) / (fan_in * fan_out);

  const double stated = stated_variance.at(init.scheme->name)(1.7, 1.7, fan_in, fan_out);
  const double standard_error =
      std::sqrt((kurtosis(init.scheme->distribution, fan_in) - 1) / (fan_in * fan_out));
  EXPECT_NEAR(mean_square, stated, (4 * standard_error + 1e-12) * stated);
}

TEST_P(EveryScheme, ReportsTheSigmaOfTheTheory) {
  const Initialisation init = with_its_parameter(GetParam(), 1.7);

  for (const auto& [fan_in, fan_out] : {std::pair{300, 200}, {200, 300}}) {
    const double stated = stated_variance.at(init.scheme->name)(1.7, 1.7, fan_in, fan_out);
    const double expected = std::sqrt(stated * fan_in);
    EXPECT_NEAR(init.effective_sigma_w(fan_in, fan_out), expected, 8 * ulp * expected);
  }
}

TEST_P(EveryScheme, KeepsItsPaddingZero) {
  const auto z = unit_weights<float>(GetParam(), seed, 1, 70, 34);

  ASSERT_EQ(z.rows(), padded_width<float>(34));
  ASSERT_EQ(z.cols(), padded_width<float>(70));
  for (int i = 0; i < z.rows(); ++i) {
    for (int j = 0; j < z.cols(); ++j) {
      if (i >= 34 || j >= 70) {
        ASSERT_EQ(z(i, j), 0) << i << ' ' << j;
      }
    }
  }
}

TEST_P(EveryScheme, HasTheSameNumbersInFloatAndDouble) {
  const auto narrow = unit_weights<float>(GetParam(), seed, 4, 130, 140);
  const auto wide = unit_weights<double>(GetParam(), seed, 4, 130, 140);

  for (int i = 0; i < 140; ++i) {
    for (int j = 0; j < 130; ++j) ASSERT_EQ(narrow(i, j), float(wide(i, j))) << i << ' ' << j;
  }
}

TEST_P(EveryScheme, DoesNotDependOnThreads) {
  const auto alone = unit_weights<float>(GetParam(), seed, 4, 130, 300);
  Threads threads(3);
  Matrix<float> shared;

  threads.run([&] { shared = unit_weights<float>(GetParam(), seed, 4, 130, 300); });

  EXPECT_TRUE(std::equal(alone.data(), alone.data() + alone.size(), shared.data()));
}

TEST_P(EveryScheme, TakesZeroAndSaysWhatItIs) {
  const Initialisation init = with_its_parameter(GetParam(), 0);

  EXPECT_EQ(init.weight_scale(50, 60) == 0, GetParam().name != "pytorch_default");
  EXPECT_FALSE(GetParam().doc.empty());
}

TEST_P(EveryScheme, RefusesWhatItFixes) {
  const SchemeRow& row = GetParam();
  const std::string name(row.name);

  if (!row.takes_sigma_w()) {
    EXPECT_THROW(Initialisation::make(name, 1.0), UserError);
  }
  if (row.default_gain == 0) {
    EXPECT_THROW(Initialisation::make(name, {}, {}, 1.0), UserError);
  }
  if (row.bias_fixed) {
    EXPECT_THROW(Initialisation::make(name, {}, 1.0), UserError);
  }
}

TEST_P(EveryScheme, RefusesNegativeAndNonFiniteValues) {
  for (const double bad : {-1.0, nan, infinity, -infinity}) {
    if (GetParam().takes_sigma_w() || GetParam().default_gain != 0) {
      EXPECT_THROW(with_its_parameter(GetParam(), bad), UserError) << bad;
    }
    EXPECT_THROW(Initialisation::make(GetParam().name, {}, bad), UserError) << bad;
  }
}

/// Stored weights were drawn elsewhere.
std::vector<SchemeRow> drawn_schemes() {
  std::vector<SchemeRow> drawn;
  for (const SchemeRow& row : schemes()) {
    if (row.distribution != Distribution::stored) drawn.push_back(row);
  }
  return drawn;
}
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryScheme, testing::ValuesIn(drawn_schemes()),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(Schemes, AreAllInTheTableOfVariances) { EXPECT_EQ(drawn_schemes().size(), stated_variance.size()); }

std::string message_of(auto&& make) {
  try {
    make();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no UserError";
}

TEST(Initialisation, ListsTheKnownSchemes) {
  const std::string message = message_of([] { Initialisation::make("guassian"); });

  EXPECT_THAT(message, testing::StartsWith("unknown scheme \"guassian\"; choose one of: gaussian uniform"));
  EXPECT_THAT(message, testing::HasSubstr("pytorch_default"));
}

TEST(Initialisation, SaysWhatToWriteInsteadOfSigmaW) {
  const std::string message = message_of([] { Initialisation::make("he_normal", 1.5); });

  EXPECT_EQ(
      message,
      "scheme \"he_normal\" fixes the variance of the weights, but sigma_w = 1.5 was given; leave sigma_w "
      "out, or choose one of: gaussian uniform truncated_normal truncated_normal_raw orthogonal identity "
      "sparse looks_linear mup");
}

TEST(Initialisation, IsGaussianWithUnitSigmaAndNoBiasUnlessToldOtherwise) {
  for (const Initialisation& init : {Initialisation(), Initialisation::make("gaussian")}) {
    EXPECT_EQ(init.scheme->name, "gaussian");
    EXPECT_EQ(init.effective_sigma_w(64, 64), 1);
    EXPECT_FALSE(init.has_bias(64));
  }
}

TEST(Initialisation, TakesPyTorchsGainForKaiming) {
  EXPECT_NEAR(Initialisation::make("kaiming_normal").effective_sigma_w(64, 64), std::sqrt(2.0), 2 * ulp);
  EXPECT_NEAR(Initialisation::make("he_normal").effective_sigma_w(64, 64), std::sqrt(2.0), 2 * ulp);
}

TEST(UnitWeights, AreSharedBySchemesOfOneDistribution) {
  const auto weights_of = [](std::string_view name) {
    return unit_weights<float>(find(schemes(), "scheme", name), seed, 2, 80, 90);
  };
  const auto same = [&](std::string_view a, std::string_view b) {
    const auto x = weights_of(a), y = weights_of(b);
    return std::equal(x.data(), x.data() + x.size(), y.data());
  };

  EXPECT_TRUE(same("gaussian", "he_normal"));
  EXPECT_TRUE(same("uniform", "pytorch_default"));
  EXPECT_TRUE(same("truncated_normal", "truncated_normal_raw"));
  EXPECT_FALSE(same("gaussian", "uniform"));
}

TEST(UnitWeights, AreTheRowsOfTheWeightStream) {
  const auto z = unit_weights<float>(schemes().front(), seed, 3, 100, 70);

  for (int i = 0; i < 70; ++i) {
    std::vector<float> row(100);
    fill_normal({seed, Purpose::weight, 3}, std::uint32_t(i), std::span(row));
    ASSERT_TRUE(std::ranges::equal(row, z.row(i).first(100)));
  }
}

TEST(UnitWeights, CountLayersFromOne) {
  EXPECT_THROW(unit_weights<float>(schemes().front(), seed, 0, 64, 64), BrokenPromise);
}

class OrthogonalShape : public testing::TestWithParam<std::pair<int, int>> {};

// The shorter side is orthonormal: W W' = I if fan_out <= fan_in, else W' W = I.
TEST_P(OrthogonalShape, IsCutFromOneHaarMatrix) {
  const auto [fan_in, fan_out] = GetParam();
  const auto z = unit_weights<double>(find(schemes(), "scheme", "orthogonal"), seed, 1, fan_in, fan_out);
  const bool wide = fan_out <= fan_in;
  const auto entry = [&](int i, int k) { return wide ? z(i, k) : z(k, i); };

  const int n = std::max(fan_in, fan_out);
  for (int i = 0; i < std::min(fan_in, fan_out); ++i) {
    for (int j = 0; j <= i; ++j) {
      double sum = 0;
      for (int k = 0; k < n; ++k) sum += entry(i, k) * entry(j, k);
      ASSERT_NEAR(sum, i == j, 4 * n * ulp);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, OrthogonalShape,
                         testing::Values(std::pair(64, 64), std::pair(150, 40), std::pair(40, 150)));

TEST(UnitWeights, OfIdentityAreOnesOnTheDiagonal) {
  const auto z = unit_weights<float>(find(schemes(), "scheme", "identity"), seed, 1, 70, 66);

  for (int i = 0; i < z.rows(); ++i) {
    for (int j = 0; j < z.cols(); ++j) ASSERT_EQ(z(i, j), i == j && i < 66);
  }
}

Matrix<float> unit_weights_called(std::string_view name, int fan_in, int fan_out,
                                  int nonzeros = usual_nonzeros) {
  return unit_weights<float>(find(schemes(), "scheme", name), seed, 1, fan_in, fan_out, WeightRole::first,
                             nonzeros);
}

TEST(UnitWeights, OfSparseAreKOfTheNormalOnesInEveryRow) {
  const auto sparse = unit_weights_called("sparse", 90, 70, 7);
  const auto normal = unit_weights_called("gaussian", 90, 70);

  for (int i = 0; i < 70; ++i) {
    int kept = 0;
    for (int j = 0; j < 90; ++j) {
      if (sparse(i, j) == 0) continue;
      ++kept;
      ASSERT_EQ(sparse(i, j), normal(i, j));
    }
    ASSERT_EQ(kept, 7) << i;
  }
}

// Each of n columns is kept with probability k/n by every row: binomial counts, z^2 summed over n columns.
TEST(UnitWeights, OfSparseKeepEveryColumnEquallyOften) {
  constexpr int fan_in = 40, fan_out = 4000, kept = 5;
  const auto z = unit_weights_called("sparse", fan_in, fan_out, kept);

  const double expected = double(fan_out) * kept / fan_in, variance = expected * (1 - double(kept) / fan_in);
  double chi_squared = 0;
  for (int j = 0; j < fan_in; ++j) {
    int count = 0;
    for (int i = 0; i < fan_out; ++i) count += z(i, j) != 0;
    chi_squared += std::pow(count - expected, 2) / variance;
  }

  // The counts have a fixed sum: chi^2 of fan_in - 1 degrees of freedom, times fan_in / (fan_in - 1).
  EXPECT_NEAR(chi_squared, fan_in, 4 * fan_in * std::sqrt(2.0 / (fan_in - 1)));
}

TEST(UnitWeights, OfSparseAreAllThereWhereFanInIsSmall) {
  const auto sparse = unit_weights_called("sparse", 6, 20), normal = unit_weights_called("gaussian", 6, 20);

  EXPECT_TRUE(std::equal(sparse.data(), sparse.data() + sparse.size(), normal.data()));
  EXPECT_EQ(Initialisation::make("sparse", 2.0).weight_scale(6, 20), 2 / std::sqrt(6.0));
}

TEST(UnitWeights, OfLooksLinearAreTheirOwnMirrorImage) {
  const auto z = unit_weights_called("looks_linear", 20, 36);

  for (int i = 0; i < 18; ++i) {
    for (int j = 0; j < 10; ++j) {
      ASSERT_NE(z(i, j), 0);
      ASSERT_EQ(z(i, j + 10), -z(i, j));
      ASSERT_EQ(z(i + 18, j), -z(i, j));
      ASSERT_EQ(z(i + 18, j + 10), z(i, j));
    }
  }
  EXPECT_THROW(unit_weights_called("looks_linear", 21, 36), BrokenPromise);
}

TEST(UnitWeights, OfTwoPointsAreSharedOnlyAtEqualSparsity) {
  const Initialisation gaussian;
  Initialisation sparse = Initialisation::make("sparse"), sparser = sparse;
  sparser.nonzeros = 3;

  EXPECT_TRUE(gaussian.shares_unit_weights_with(Initialisation::make("critical")));
  EXPECT_FALSE(gaussian.shares_unit_weights_with(sparse));
  EXPECT_FALSE(sparse.shares_unit_weights_with(sparser));
}

TEST(Initialisation, HasAFactorForEachMatrixOfABlock) {
  Initialisation init = Initialisation::make("fixup");
  init.first_factor = 0.25;
  init.second_factor = 0;

  EXPECT_EQ(init.weight_scale(32, 32), 0.25 * std::sqrt(2.0 / 32));
  EXPECT_EQ(init.weight_scale(32, 32, WeightRole::second), 0);
  EXPECT_EQ(init.effective_sigma_w(32, 32), init.weight_scale(32, 32) * std::sqrt(32.0));
}

TEST(UnitBias, IsNormalWithUnitVariance) {
  constexpr int n = 100000;
  const auto bias = unit_bias<double>(schemes().front(), seed, 1, n);

  ASSERT_EQ(bias.rows(), 1);
  ASSERT_EQ(bias.cols(), padded_width<double>(n));
  EXPECT_NEAR(frobenius_squared(bias).value() / n, 1, 4 * std::sqrt(2.0 / n));
  EXPECT_GT(*std::max_element(bias.data(), bias.data() + n), 3);  // no uniform number is
}

TEST(UnitBias, PaddingIsZero) {
  const auto bias = unit_bias<float>(schemes().front(), seed, 1, 70);

  EXPECT_THAT(std::vector<float>(bias.data() + 70, bias.data() + bias.cols()), testing::Each(0));
}

// PyTorch's nn.Linear: b ~ U(-1, 1)/sqrt(fan_in).
TEST(UnitBias, OfPytorchDefaultIsUniform) {
  constexpr int n = 100000, fan_in = 25;
  const Initialisation init = Initialisation::make("pytorch_default");
  const auto bias = unit_bias<double>(*init.scheme, seed, 1, n);
  const double largest = *std::max_element(bias.data(), bias.data() + n) * init.effective_sigma_b(fan_in);

  EXPECT_TRUE(init.has_bias(fan_in));
  EXPECT_NEAR(init.effective_sigma_b(fan_in), std::sqrt(1.0 / (3 * fan_in)), 2 * ulp);
  EXPECT_LE(largest, 0.2 * (1 + 0x1p-23));   // one rounding in float32
  EXPECT_GE(largest, 0.2 * (1 - 20.0 / n));  // missed with probability e^-10
}

TEST(UnitBias, IsIndependentOfTheWeights) {
  const auto bias = unit_bias<float>(schemes().front(), seed, 1, 64);
  const auto z = unit_weights<float>(schemes().front(), seed, 1, 64, 64);

  EXPECT_NE(bias(0, 0), z(0, 0));
}

TEST(FrobeniusSquared, IsTheSumOfSquaresInDouble) {
  const auto z = unit_weights<float>(schemes().front(), seed, 1, 500, 300);
  double plain = 0;
  for (std::size_t i = 0; i < z.size(); ++i) plain += double(z.data()[i]) * double(z.data()[i]);

  EXPECT_NEAR(frobenius_squared(z).value(), plain,
              500 * ulp * plain);  // random-walk rounding of 150,000 terms
}

TEST(FrobeniusSquared, OfZerosIsZero) { EXPECT_TRUE(frobenius_squared(Matrix<float>(64, 64)).is_zero()); }

}  // namespace
}  // namespace gradflow::nn
