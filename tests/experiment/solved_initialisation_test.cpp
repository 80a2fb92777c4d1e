#include <cmath>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/theory/maps.hpp"
#include "gradflow/theory/phase.hpp"
#include "measured.hpp"

namespace gradflow::experiment {
namespace {

sweep::Sweep sweep_of(const std::string& text) { return sweep::Sweep::parse(text, "x.toml", sweep_schema()); }

nn::NetworkSpec spec_of(const std::string& network, const std::string& init) {
  return network_of(sweep_of(fmt::format("[network]\n{}\n[init]\n{}\n", network, init)).point(0));
}

double sigma_w_of(const std::string& network, const std::string& init) {
  const nn::NetworkSpec spec = spec_of(network, init);
  return spec.init.effective_sigma_w(spec.widths.fan_in(1), spec.widths.fan_out(1));
}

std::string refusal_of(const std::string& text) {
  try {
    require_networks(sweep_of(text));
  } catch (const UserError& error) {
    return error.what();
  }
  return "accepted";
}

constexpr double half_of_digit_12 = 5e-12;  // a solved sigma_w is rounded there

// SCIENCE section 2: tanh at sigma_b^2 = 0.05, relu in closed form.
TEST(Critical, IsTheSolutionOfTheory) {
  const double tanh = sigma_w_of("depth = 3\nwidth = 8\nactivation = \"tanh\"",
                                 "scheme = \"critical\"\nsigma_b = 0.22360679774997896");
  const double relu =
      sigma_w_of("depth = 3\nwidth = 8\nactivation = \"relu\"", "scheme = \"critical\"\nsigma_b = 0.3");

  EXPECT_NEAR(tanh * tanh, 1.760955, 5e-7);
  EXPECT_NEAR(relu, std::sqrt(2.0), half_of_digit_12);
}

TEST(Critical, HasChiOneAtItsFixedPoint) {
  for (const char* activation : {"tanh", "erf", "sigmoid", "leaky_relu"}) {
    const nn::NetworkSpec network =
        spec_of(fmt::format("depth = 3\nwidth = 8\nactivation = \"{}\"", activation),
                "scheme = \"critical\"\nsigma_b = 0.1");

    const auto deep =
        theory::asymptotics(network.activation, network.init.effective_sigma_w(8, 8), network.init.sigma_b);

    EXPECT_EQ(theory::phase_of(deep.chi1), theory::Phase::critical) << activation;
  }
}

TEST(Critical, SaysThatSoftplusHasNone) {
  EXPECT_THAT(
      refusal_of(
          "[network]\ndepth = 3\nwidth = 8\nactivation = \"softplus\"\n[init]\nscheme = \"critical\"\n"),
      testing::AllOf(testing::HasSubstr("softplus has no critical sigma_w at sigma_b = 0"),
                     testing::HasSubstr("x.toml:6")));
}

// Roberts, Yaida & Hanin: gelu's critical point at (2, 0) repels; deep signals explode there.
TEST(Critical, IsNotTakenWhereItRepels) {
  EXPECT_THAT(
      refusal_of("[network]\ndepth = 3\nwidth = 8\nactivation = \"gelu\"\n[init]\nscheme = \"critical\"\n"),
      testing::HasSubstr("that of gelu at sigma_b = 0, sigma_w = 2, is repelling"));
}

TEST(Critical, LeavesNoSigmaWToTheUser) {
  EXPECT_THAT(refusal_of("[network]\ndepth = 3\nwidth = 8\n[init]\nscheme = \"critical\"\nsigma_w = 1.5\n"),
              testing::HasSubstr("sigma_w = 1.5 was given; leave sigma_w out"));
}

// SCIENCE section 1, seven significant digits.
TEST(RandomWalk, HasTheExactGainOfItsWidth) {
  EXPECT_NEAR(sigma_w_of("depth = 3\nwidth = 100\nactivation = \"linear\"", "scheme = \"random_walk\""),
              1.005029, 5e-7);
  EXPECT_NEAR(sigma_w_of("depth = 3\nwidth = 100\nactivation = \"relu\"", "scheme = \"random_walk\""),
              1.432304, 5e-7);
}

// The steps are independent: over L - 1 of them in each of 64 networks the mean has a known standard error.
TEST(RandomWalk, DoesNotDrift) {
  for (const char* activation : {"linear", "relu", "leaky_relu"}) {
    const auto points = measure(fmt::format(
        "[network]\ndepth = 40\nwidth = 24\nactivation = \"{}\"\n[init]\nscheme = \"random_walk\"\n"
        "[data]\nbatch = 1\n[sweep]\nseed = {{ range = [0, 64] }}\n",
        activation));
    double sum = 0;
    double variance_of_step = 0;
    for (const MeasuredPoint& point : points) {
      const std::vector<double> norm = point.column("dgrad_log10_norm_mean");
      sum += norm.front() - norm.back();
      variance_of_step = point.column("theory_log10_norm_step_variance").front();
      EXPECT_NEAR(point.column("theory_log10_norm_step_mean").front(), 0, half_of_digit_12);
    }

    const double standard_error = std::sqrt(variance_of_step * 39 * 64);
    EXPECT_NEAR(sum, 0, 4 * standard_error) << activation;
  }
}

TEST(RandomWalk, RefusesWhatItsLawDoesNotCover) {
  const auto refusal = [](const std::string& network, const std::string& init) {
    return refusal_of(fmt::format("[network]\n{}\n[init]\nscheme = \"random_walk\"\n{}\n", network, init));
  };
  EXPECT_THAT(refusal("depth = 3\nwidth = 8\nactivation = \"tanh\"", ""), testing::HasSubstr("not for tanh"));
  EXPECT_THAT(refusal("depth = 3\nwidth = 8\nactivation = \"relu\"", "sigma_b = 0.1"),
              testing::HasSubstr("without biases"));
  EXPECT_THAT(refusal("widths = [8, 9]\nactivation = \"relu\"", ""),
              testing::HasSubstr("write depth and width"));
}

TEST(RequireNetworks, LooksAtEverySigmaBAndWidthOfASolvedScheme) {
  EXPECT_THAT(
      refusal_of("[network]\ndepth = 3\nwidth = 8\nactivation = \"relu\"\n[init]\nscheme = \"random_walk\"\n"
                 "[sweep]\ninit.sigma_b = [0.0, 0.5]\n"),
      testing::HasSubstr("is 0.5"));
  EXPECT_THAT(refusal_of("[network]\ndepth = 3\n[init]\nscheme = \"looks_linear\"\n[sweep]\n"
                         "network.width = [8, 10, 11]\n"),
              testing::HasSubstr("one is 11"));
}

// An odd part of the network is all there is: relu(a) - relu(-a) = a.
TEST(LooksLinear, HasMirroredPreactivationsAndKeepsTheNormOfALinearNetwork) {
  const MeasuredPoint point = measure_one(
      "[network]\ndepth = 30\nwidth = 64\nactivation = \"relu\"\n"
      "[init]\nscheme = \"looks_linear\"\nsigma_w = 1.4142135623730951\n"
      "[data]\nbatch = 4\n[statistics]\npreset = \"full\"\n");

  // Half of the units are on for every sample; a relu network's share is 1/2 only on average.
  for (const double zeros : point.column("act_zero_fraction")) EXPECT_EQ(zeros, 0.5);
  // z = (a, -a): the mean over units is 0 up to the rounding of float32 sums over 64 units.
  for (const double mean : point.column("preact_mean_over_rms")) EXPECT_NEAR(mean, 0, 64 * 0x1p-24);
}

TEST(Sparse, HasAnIntegerOfNonzeros) {
  const auto with = [](const std::string& nonzeros) {
    return refusal_of("[network]\ndepth = 3\nwidth = 8\n[init]\nscheme = { name = \"sparse\", nonzeros = " +
                      nonzeros + " }\n");
  };
  EXPECT_EQ(with("3"), "accepted");
  EXPECT_THAT(with("2.5"), testing::HasSubstr("expected an integer from 1"));
  EXPECT_THAT(with("0"), testing::HasSubstr("expected an integer from 1"));
}

// Zhang et al. 2019: the branch gives 0, so the stream is the input in every layer.
TEST(Fixup, BeginsAsTheIdentity) {
  const MeasuredPoint point = measure_one(
      "[network]\nblock = \"residual\"\ndepth = 16\nwidth = 64\nactivation = \"relu\"\n"
      "[init]\nscheme = \"fixup\"\n[data]\nbatch = 4\n");

  for (const char* name : {"act_log10_q", "dgrad_log10_norm_mean"}) {
    const std::vector<double> norm = point.column(name);
    for (const double of_layer : norm) EXPECT_EQ(of_layer, norm.front()) << name;
  }
  for (const double sigma_w : point.column("effective_sigma_w")) {
    EXPECT_NEAR(sigma_w, std::sqrt(2.0) / 4, 4e-16);
  }
  for (const double norm : point.column("wgrad_log10_norm")) EXPECT_EQ(norm, -INFINITY);
  for (const double norm : point.column("second_wgrad_log10_norm")) EXPECT_TRUE(std::isfinite(norm));
}

// Mishkin & Matas 2016: the variance over units and the whole batch, whatever the activation.
TEST(Lsuv, HasItsVarianceInEveryLayer) {
  for (const std::string activation : {"tanh", "relu", "softplus"}) {
    SCOPED_TRACE(activation);
    const MeasuredPoint point = measure_one(
        "[network]\ndepth = 30\nwidth = 40\nactivation = \"" + activation +
        "\"\n[init]\nscheme = \"lsuv\"\ngain = 1.5\n[data]\nbatch = 50\n[run]\nprecision = \"float64\"\n");
    const std::vector<double> square = point.column("preact_log10_q");
    const std::vector<double> share = point.column("preact_var_over_q");
    for (std::size_t l = 0; l < square.size(); ++l) {
      EXPECT_NEAR(share[l] * std::pow(10, square[l]), 1.5 * 1.5, 1e-12) << "layer " << l + 1;
    }
  }
}

TEST(Lsuv, TellsTheScaleItFound) {
  const MeasuredPoint point = measure_one(
      "[network]\ndepth = 5\nwidth = 40\nactivation = \"relu\"\n[init]\nscheme = \"lsuv\"\n"
      "[data]\nbatch = 50\n[run]\nprecision = \"float64\"\n");
  const std::vector<double> sigma_w = point.column("effective_sigma_w");
  const std::vector<double> norm = point.column("weight_log10_norm");
  for (std::size_t l = 0; l < sigma_w.size(); ++l) {
    EXPECT_NEAR(norm[l], std::log10(sigma_w[l] * std::sqrt(40)), 1e-13);  // |Q|_F^2 is the width
  }
}

TEST(Lsuv, LeavesALayerThatNothingVariesInAtItsGain) {
  const MeasuredPoint point = measure_one(
      "[network]\ndepth = 3\nwidth = 10\nactivation = \"relu\"\n[init]\nscheme = \"lsuv\"\ngain = 2\n"
      "[data]\nsource = \"zero\"\nbatch = 4\n");
  for (const double sigma_w : point.column("effective_sigma_w")) EXPECT_EQ(sigma_w, 2);
  for (const double q : point.column("preact_log10_q")) EXPECT_EQ(q, -INFINITY);
}

TEST(Lsuv, IsOfLayersThatHaveTheirOwnWeights) {
  EXPECT_THAT(refusal_of("[network]\nblock = \"lstm\"\ndepth = 3\nwidth = 8\n[init]\nscheme = \"lsuv\"\n"),
              testing::HasSubstr("share their weights"));
}

// Yang & Hu 2021: variances sigma_w^2/fan_in, and sigma_w^2/fan_in^2 of the output layer.
TEST(Mup, HasALastLayerThatIsSmallerByTheRootOfItsFanIn) {
  const MeasuredPoint point = measure_one(
      "[network]\nwidths = [50, 100, 400, 10]\n[init]\nscheme = \"mup\"\nsigma_w = 1.5\n[data]\nbatch = "
      "4\n");
  const std::vector<double> sigma_w = point.column("effective_sigma_w");
  EXPECT_EQ(sigma_w[0], 1.5);
  EXPECT_EQ(sigma_w[1], 1.5);
  EXPECT_NEAR(sigma_w[2], 1.5 / 20, 1e-16);
  // 4 standard errors of the mean square of 4000 normal numbers.
  EXPECT_NEAR(point.column("weight_log10_norm")[2], std::log10(1.5 / 400 * std::sqrt(4000)),
              4 * std::sqrt(2.0 / 4000) / 2 / std::log(10));
}

// Wang et al. 2022, table 2: an encoder of N layers, 2 N branches, has beta = (8 N)^(-1/4) = 1/2 at N = 2.
TEST(Deepnorm, ScalesEveryMatrixOfABranchByTheFourthRootOfTheDepth) {
  const MeasuredPoint point = measure_one(
      "[network]\nblock = \"residual\"\ndepth = 4\nwidth = 64\nskip_scale = \"deepnorm\"\n"
      "normalization = \"layer\"\n[init]\nscheme = \"deepnorm\"\n[data]\nbatch = 4\n");

  for (const double sigma_w : point.column("effective_sigma_w")) EXPECT_NEAR(sigma_w, 0.5, 1e-15);
  for (const char* name : {"weight_log10_norm", "second_weight_log10_norm"}) {
    for (const double norm :
         point.column(name)) {  // 4 standard errors of the mean square of 64^2 normal numbers
      EXPECT_NEAR(norm, std::log10(0.5 * std::sqrt(64)), 4 * std::sqrt(2.0) / 64 / 2 / std::log(10)) << name;
    }
  }
}

TEST(Deepnorm, IsOfResidualBranches) {
  EXPECT_THAT(refusal_of("[network]\ndepth = 3\nwidth = 8\n[init]\nscheme = \"deepnorm\"\n"),
              testing::HasSubstr("a dense block has none"));
}

TEST(Fixup, NeedsABranchOfTwoMatrices) {
  EXPECT_THAT(refusal_of("[network]\ndepth = 3\nwidth = 8\n[init]\nscheme = \"fixup\"\n"),
              testing::HasSubstr("the block is dense"));
  EXPECT_THAT(
      refusal_of(
          "[network]\nblock = \"preact_residual\"\ndepth = 3\nwidth = 8\n[init]\nscheme = \"fixup\"\n"),
      testing::HasSubstr("branch_layers = 2"));
}

}  // namespace
}  // namespace gradflow::experiment
