#include "gradflow/theory/gaussian.hpp"

#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/theory/moments.hpp"
#include "theory/brute_force.hpp"

namespace gradflow::theory {
namespace {

// The promise of the quadrature is 1e-10; it holds 1e-12, and the brute force another 1e-13.
constexpr double promise = 1e-11;

double square(double x) { return x * x; }

Curve value_of(const nn::Activation& phi) {
  return [phi](double z) { return phi.value(z); };
}

Curve slope_of(const nn::Activation& phi) {
  return [phi](double z) { return phi.slope(z); };
}

Curve squared(const Curve& f) {
  return [f](double z) { return square(f(z)); };
}

class EveryActivation : public testing::TestWithParam<nn::Activation> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryActivation, testing::ValuesIn(whole_catalogue()),
                         [](const auto& test) { return std::string(test.param.name()); });

TEST_P(EveryActivation, HasTheMomentsOfAFineGrid) {
  const Moments moments(GetParam());
  for (double q : {1e-6, 0.01, 0.3, 1.0, 4.0, 15.0, 17.0, 100.0}) {
    const double deviation = std::sqrt(q);

    const double square_there = brute_force_mean(squared(value_of(GetParam())), deviation);
    const double slope_square_there = brute_force_mean(squared(slope_of(GetParam())), deviation);
    const auto gain = [&](double z) { return GetParam().value(z) * GetParam().slope(z) * z / q; };
    const double growth_there = brute_force_mean(gain, deviation);
    const double terms = brute_force_mean([&](double z) { return std::abs(gain(z)); }, deviation);

    EXPECT_NEAR(moments.square(Scaled::of(q)).value() / square_there, 1, promise) << "q = " << q;
    EXPECT_NEAR(moments.slope_square(Scaled::of(q)).value() / slope_square_there, 1, promise) << "q = " << q;
    EXPECT_NEAR(moments.growth(Scaled::of(q)).value(), growth_there, promise * terms) << "q = " << q;
  }
}

TEST_P(EveryActivation, HasTheProductMomentsOfMehlersSeries) {
  const Moments moments(GetParam());
  for (double q : {0.01, 1.0, 30.0}) {
    for (const auto& [c, terms] : {std::pair{-0.7, 100}, {0.0, 1}, {0.3, 40}, {0.9, 300}}) {
      const double deviation = std::sqrt(q);

      const double product_there = mehler_product_mean(value_of(GetParam()), deviation, c, terms);
      const double slopes_there = mehler_product_mean(slope_of(GetParam()), deviation, c, terms);

      const double scale = moments.square(Scaled::of(q)).value();
      const double slope_scale = moments.slope_square(Scaled::of(q)).value();
      EXPECT_NEAR(moments.product(Scaled::of(q), c).value(), product_there, promise * scale) << q << ' ' << c;
      EXPECT_NEAR(moments.slope_product(Scaled::of(q), c).value(), slopes_there, promise * slope_scale)
          << q << ' ' << c;
    }
  }
}

TEST_P(EveryActivation, LosesNothingWhereTwoInputsAlmostAgree) {
  // d E phi phi / dc = q E phi' phi', a power series in c with positive coefficients, so it grows with c.
  const Moments moments(GetParam());
  for (double q : {1.5, 40.0, 1e6}) {
    for (double apart : {1e-3, 1e-6, 1e-9}) {
      const double c = 1 - apart;

      const double square_there = moments.square(Scaled::of(q)).value();
      const double drop = square_there - moments.product(Scaled::of(q), c).value();

      const double rounding = 1e-12 * square_there;
      EXPECT_GE(drop, q * (1 - c) * moments.slope_product(Scaled::of(q), c).value() - rounding)
          << q << ' ' << apart;
      EXPECT_LE(drop, q * (1 - c) * moments.slope_square(Scaled::of(q)).value() + rounding)
          << q << ' ' << apart;
    }
  }
}

TEST_P(EveryActivation, HasTheSlopeProductAsDerivativeOfTheProduct) {
  const Moments moments(GetParam());
  for (double q : {1.0, 40.0, 1e6}) {
    const auto product = [&](double c) { return moments.product(Scaled::of(q), c).value(); };
    const double h = 1e-3;
    const double c = 0.4;

    const double derivative =
        (8 * (product(c + h) - product(c - h)) - (product(c + 2 * h) - product(c - 2 * h))) / (12 * h);

    // The stencil errs by h^4 / 30 of the fifth derivative, and the products by 1e-12 / h.
    EXPECT_NEAR(q * moments.slope_product(Scaled::of(q), c).value(), derivative,
                1e-8 * moments.square(Scaled::of(q)).value())
        << q;
  }
}

TEST_P(EveryActivation, FollowsItsTangentsAtTinyVariances) {
  const nn::Activation& phi = GetParam();
  const Moments moments(phi);
  const double tangents = (square(phi.slope(1e-30)) + square(phi.slope(-1e-30))) / 2;
  for (std::int64_t exponent : {-900, -1000, -13000}) {
    const Scaled q = Scaled::of(1.5, exponent);

    const double ratio = phi.zero_at_zero() ? (moments.square(q) / q).value() / tangents
                                            : moments.square(q).value() / square(phi.value(0));

    EXPECT_NEAR(ratio, 1, promise);
    EXPECT_NEAR(moments.slope_square(q).value() / tangents, 1, promise);
  }
}

TEST_P(EveryActivation, FollowsItsAsymptotesAtHugeVariances) {
  const nn::Activation& phi = GetParam();
  const Moments moments(phi);
  const double far = 1e80;
  const auto asymptote = [&](double z) { return phi.bounded() ? phi.value(z) : phi.slope(z); };
  const double limit = phi.name() == "sin" ? 0.5 : (square(asymptote(far)) + square(asymptote(-far))) / 2;
  for (std::int64_t exponent : {900, 1000, 13000}) {
    const Scaled q = Scaled::of(1.5, exponent);

    const double ratio = phi.bounded() ? moments.square(q).value() : (moments.square(q) / q).value();

    EXPECT_NEAR(ratio / limit, 1, promise);
  }
}

struct BoundaryLayer {
  const char* activation;
  double integral;  ///< of phi'^2 over the whole line
};

class SaturatingActivation : public testing::TestWithParam<BoundaryLayer> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, SaturatingActivation,
                         testing::Values(BoundaryLayer{"tanh", 4.0 / 3}, BoundaryLayer{"sigmoid", 1.0 / 6},
                                         BoundaryLayer{"erf", std::sqrt(8 / std::numbers::pi)},
                                         BoundaryLayer{"hard_tanh", 2}, BoundaryLayer{"softsign", 2.0 / 3},
                                         BoundaryLayer{"arctan", std::numbers::pi / 2}),
                         [](const auto& test) { return std::string(test.param.activation); });

TEST_P(SaturatingActivation, KeepsTheSlopeOfItsBoundaryLayer) {
  // E phi'^2 -> density of z at 0 times the integral of phi'^2; the next term is 1/q smaller.
  const Moments moments(nn::Activation::named(GetParam().activation));
  for (std::int64_t exponent : {50, 200, 1000, 5000}) {
    const Scaled q = Scaled::of(1.5, exponent);

    const double integral = (moments.slope_square(q) * sqrt(q)).value() * std::sqrt(2 * std::numbers::pi);

    EXPECT_NEAR(integral / GetParam().integral, 1, promise);
  }
}

TEST(GaussianMean, RefusesAKinkNobodyTold) {
  const Curve bent = [](double z) { return std::abs(z - 0.3); };
  for (double deviation : {0.5, 1.0, 3.0, 10.0}) {
    EXPECT_THROW(gaussian_mean(bent, 0, deviation, {}), UserError) << deviation;

    const double told = gaussian_mean(bent, 0, deviation, {.breaks = {0.3}});

    // E |z - a| = deviation sqrt(2/pi) exp(-x^2/2) + a erf(x / sqrt 2), x = a / deviation.
    const double x = 0.3 / deviation;
    const double folded = deviation * std::sqrt(2 / std::numbers::pi) * std::exp(-x * x / 2) +
                          0.3 * std::erf(x / std::numbers::sqrt2);
    EXPECT_NEAR(told / folded, 1, 1e-12) << deviation;
  }
}

TEST(ProductMean, OfReluIsTheArcCosineKernel) {
  // Cho & Saul 2009; the class Moments uses this closed form, so the quadrature is asked directly.
  const Curve relu = [](double z) { return std::max(z, 0.0); };
  const Shape kink{{0}};
  for (double c : {-1.0, -0.999999, -0.5, 0.0, 0.3, 0.9, 0.999999, 1 - 1e-12, 1.0}) {
    const double angle = std::acos(c);
    const double kernel =
        (std::sqrt((1 - c) * (1 + c)) + (std::numbers::pi - angle) * c) / (2 * std::numbers::pi);

    for (double deviation : {1e-3, 1.0, 50.0}) {
      const double scale = square(deviation);
      EXPECT_NEAR(gaussian_product_mean(relu, deviation, c, kink), scale * kernel, 1e-12 * scale) << c;
    }
  }
}

TEST(ProductMean, OfErfIsAnArcSine) {  // Williams 1997; Moments uses it, so the quadrature is asked directly
  const Curve erf = [](double z) { return std::erf(z); };
  const Shape saturating{{}, true};
  for (double q : {1e-8, 0.5, 3.0, 20.0, 1e6}) {
    for (double c : {-1.0, -0.9, 0.0, 0.5, 0.999, 1 - 1e-9}) {
      const double closed = 2 / std::numbers::pi * std::asin(2 * q * c / (1 + 2 * q));

      EXPECT_NEAR(gaussian_product_mean(erf, std::sqrt(q), c, saturating), closed,
                  promise * std::asin(2 * q / (1 + 2 * q)))
          << q << ' ' << c;
    }
  }
}

TEST(Moments, OfAStandardNormalAreThePublishedOnes) {
  const auto square_of = [](const char* name) {
    return Moments(nn::Activation::named(name)).square(Scaled::of(1)).value();
  };
  const auto slope_square_of = [](const char* name) {
    return Moments(nn::Activation::named(name)).slope_square(Scaled::of(1)).value();
  };

  EXPECT_NEAR(square_of("tanh"), 0.394294, 5e-7);
  EXPECT_NEAR(slope_square_of("tanh"), 0.464403, 5e-7);
  EXPECT_NEAR(square_of("gelu"), 0.425221, 5e-7);
  EXPECT_NEAR(slope_square_of("gelu"), 0.455851, 5e-7);
  EXPECT_NEAR(square_of("elu"), 0.644945, 5e-7);
  EXPECT_NEAR(slope_square_of("elu"), 0.668102, 5e-7);
  EXPECT_NEAR(slope_square_of("sigmoid"), 0.044836, 5e-7);
}

}  // namespace
}  // namespace gradflow::theory
