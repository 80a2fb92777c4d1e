#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "one_sample.hpp"

namespace gradflow::nn {
namespace {

class EveryHomogeneousActivation : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryHomogeneousActivation, CommutesWithPowersOfTwoToTheLastBit) {
  const Activation phi = Activation::named(GetParam());
  const std::vector<float> units{1.37f, -0.81f, 0.0f, -1e-3f, 0.22f};
  const Outcome<float> here = activated(phi, Sample<float>(units));
  const Outcome<float> slope_here = multiplied(phi, Sample<float>(units), Sample<float>(units));

  for (const int exponent : {-100000, -61, -60, -7, 8, 60, 61, 100000}) {
    const Outcome<float> there = activated(phi, Sample<float>(units, exponent));
    const Outcome<float> slope_there = multiplied(phi, Sample<float>(units, exponent), Sample<float>(units));
    for (int j = 0; j < 5; ++j) {
      EXPECT_EQ(there.sample[j], ldexp(here.sample[j], exponent)) << exponent << ' ' << j;
      EXPECT_EQ(slope_there.sample[j], slope_here.sample[j]) << exponent << ' ' << j;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryHomogeneousActivation,
                         testing::Values("linear", "relu", "leaky_relu"), name_of);

class EverySaturatingActivation : public testing::TestWithParam<std::string_view> {};

TEST_P(EverySaturatingActivation, GivesATrueGradientWhereAllUnitsAreSaturated) {
  // exp(-x^2) at 1e8 has the exponent -1.4e16, which no sample can carry: erf stops at 2e4.
  const Activation phi = Activation::named(GetParam());
  const double farthest = GetParam() == "erf" ? 2e4 : 1e8;
  for (double magnitude = 40; magnitude <= farthest; magnitude *= 5) {
    const std::vector<float> units{float(magnitude), float(-1.01 * magnitude), float(1.5 * magnitude)};

    const Outcome<float> d = multiplied(phi, arriving<float>(units), Sample<float>({1.5f, 1.5f, 1.5f}));

    ASSERT_EQ(d.code, FailureCode::none) << magnitude;
    const Exact truth = 1.5 * reference::slope(phi.name(), Exact(units[0]), 0);
    EXPECT_LE(relative_error(d.sample[0], truth, 0), 1e-6) << magnitude;
    EXPECT_EQ(d.counts.saturated, 3);
  }
}

TEST_P(EverySaturatingActivation, RefusesAGradientWhoseExponentDoesNotFit) {
  const Activation phi = Activation::named(GetParam());
  const Outcome<float> d = multiplied(phi, Sample<float>({1.0f, -1.5f}, 100), Sample<float>({1.0f, 1.0f}));
  EXPECT_EQ(d.code, FailureCode::exponent_overflow);
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EverySaturatingActivation, testing::Values("tanh", "sigmoid", "erf"),
                         name_of);

TEST(Slope, FindsTheGradientThatPassesThroughSaturatedUnitsOnly) {
  const Sample<float> z({0.1f, 200.0f}), d({0.0f, 1.0f});

  const Outcome<float> out = multiplied(Activation::named("tanh"), z, d);

  EXPECT_LE(relative_error(out.sample[1], reference::slope("tanh", Exact(200), 0), 0), 1e-6);
  EXPECT_EQ(out.counts.lost_log2.size(), 0);
}

TEST(Slope, CountsWhatIsLostBesideALargerUnit) {
  const Sample<float> z({0.1f, 200.0f, 0.3f}), d({1.0f, 1.0f, 1.0f});
  const Outcome<float> out = multiplied(Activation::named("tanh"), z, d);
  EXPECT_EQ(out.counts.lost_log2, std::vector<std::int64_t>{-576});  // 4 exp(-400) = 2^-575.08
  EXPECT_EQ(out.sample[1], 0);
}

// Elements are promised down to 2^-125 of their sample's largest. Here the smaller one stands 2^-92, 2^-75
// and 2^-159 below: the last alone may be lost.
TEST(Slope, LosesNothingWithinTwoToTheMinus125OfTheLargest) {
  const Activation tanh = Activation::named("tanh");
  for (const float smaller : {52.0f, 46.0f}) {
    const Sample<float> z({20.0f, smaller}), d({1.0f, 1.0f});
    const Outcome<float> out = multiplied(tanh, z, d);
    EXPECT_LE(relative_error(out.sample[1], reference::slope("tanh", Exact(smaller), 0), 0), 1e-6) << smaller;
    EXPECT_TRUE(out.counts.lost_log2.empty());
  }
  const Outcome<float> out = multiplied(tanh, Sample<float>({15.0f, 70.0f}), Sample<float>({1.0f, 1.0f}));
  EXPECT_EQ(out.counts.lost_log2, std::vector<std::int64_t>{-200});  // 4 exp(-140) = 2^-199.98
}

TEST(Slope, CallsADeadReluUnitZeroAndNotLost) {
  const Sample<float> z({-0.1f, -200.0f}), d({1.0f, 1.0f}, 77);
  const Outcome<float> out = multiplied(Activation::named("relu"), z, d);
  EXPECT_EQ(out.code, FailureCode::none);
  EXPECT_EQ(out.counts.lost_log2.size(), 0);
  EXPECT_EQ(out.sample[0], 0);
  EXPECT_EQ(out.sample.exponent, 0);
}

TEST(Slope, KeepsTheExponentOfTheGradient) {
  const Sample<float> z({0.0f, 0.0f}), d({1.0f, -1.5f}, -40000);
  const Outcome<float> out = multiplied(Activation::named("tanh"), z, d);
  EXPECT_EQ(out.sample[0], ldexp(Exact(1), -40000));
  EXPECT_EQ(out.sample[1], ldexp(Exact(-1.5), -40000));
}

TEST(Slope, DecaysThroughThousandsOfSaturatedLayersOnAStraightLine) {
  const Activation phi = Activation::named("sigmoid");
  const Sample<float> z({30.0f, -31.0f});
  Sample<float> d({1.0f, 1.0f});

  for (int layer = 0; layer < 5000; ++layer) d = multiplied(phi, z, d).sample;

  // 5000 slopes, each within 4 units in the last place of float32: 5000 * 2.4e-7 / ln 10.
  const double per_layer = double(log10(reference::slope("sigmoid", Exact(30), 0)));
  EXPECT_NEAR(double(log10(d[0])), 5000 * per_layer, 6e-4);
}

TEST(Sin, FailsWhereItsArgumentHasNoPhase) {
  const Activation phi = Activation::named("sin");
  EXPECT_EQ(activated(phi, Sample<float>({0x1p24f})).code, FailureCode::none);
  EXPECT_EQ(activated(phi, Sample<float>({1.0f, 1.1f}, 24)).code, FailureCode::phase_lost);
  EXPECT_EQ(activated(phi, Sample<double>({1.0, 1.1}, 24)).code, FailureCode::none);
  EXPECT_EQ(activated(phi, Sample<double>({1.0, 1.1}, 53)).code, FailureCode::phase_lost);
  EXPECT_EQ(multiplied(phi, Sample<float>({1.0f, 1.1f}, 24), Sample<float>({1.0f, 1.0f})).code,
            FailureCode::phase_lost);
}

TEST(Elu, KeepsItsPlateauBesideAHugeExponent) {
  for (const int exponent : {61, 100, 200, 100000}) {
    const Outcome<float> h =
        activated(Activation::named("elu", 1.5), Sample<float>({-1.0f, -1.5f}, exponent));
    EXPECT_EQ(h.sample[0], -1.5) << exponent;
    EXPECT_EQ(h.sample[1], -1.5) << exponent;
  }
}

TEST(Elu, TellsTheSignOfTheSmallestUnits) {
  const std::vector<float> units{1.0f, 0x1p-90f, -0x1p-90f};
  for (const int exponent : {-61, -100, -100000}) {
    const Outcome<float> h = activated(Activation::named("elu", 2), Sample<float>(units, exponent));
    EXPECT_EQ(h.sample[1], ldexp(Exact(1), exponent - 90)) << exponent;
    EXPECT_EQ(h.sample[2], ldexp(Exact(-2), exponent - 90)) << exponent;
  }
}

TEST(Selu, HasTheConstantsOfItsFixedPoint) {
  const Activation selu = Activation::named("selu");
  EXPECT_DOUBLE_EQ(selu.value(1), 1.0507009873554805);
  EXPECT_DOUBLE_EQ(selu.value(-100), -1.0507009873554805 * 1.6732632423543772);
}

TEST(LeakyRelu, TakesASlopeTooSmallForFloat32) {
  const Outcome<float> h = activated(Activation::named("leaky_relu", 1e-60), Sample<float>({-1.0f, -2.0f}));
  EXPECT_LE(relative_error(h.sample[1], Exact(-2e-60), 0), 1e-6);
}

TEST(Activation, IsFoundByName) {
  EXPECT_EQ(Activation().name(), "linear");
  EXPECT_EQ(Activation::named("leaky_relu").parameter(), 0.01);
  EXPECT_EQ(Activation::named("elu", 0.5).parameter(), 0.5);
  EXPECT_EQ(Activation::named("elu"), Activation::named("elu", 1.0));
}

std::string complaint(std::string_view name, std::optional<double> parameter) {
  try {
    Activation::named(name, parameter);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(Activation, ExplainsWhatIsWrongWithAName) {
  EXPECT_THAT(complaint("tahn", {}),
              testing::AllOf(testing::HasSubstr("tahn"), testing::HasSubstr("softplus")));
  EXPECT_THAT(complaint("tanh", 1.0), testing::HasSubstr("no parameter"));
  EXPECT_THAT(complaint("elu", std::nan("")), testing::HasSubstr("alpha"));
}

}  // namespace
}  // namespace gradflow::nn
