#include "gradflow/report/verdict.hpp"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/sample_file.hpp"

namespace gradflow::report {
namespace {

using testing::HasSubstr;
using testing::Not;

// Slopes of straight lines of at most 600 layers and numbers of size 100.
constexpr double rounding = 1e-12;

Verdict verdict_of_points(SampleFile sample, const std::string& name) {
  const store::ResultFile file = sample.write(name);
  return verdict_of(file, configurations(file).front());
}

Verdict verdict_of_line(int depth, double per_layer) {
  return verdict_of_points({.points = {{.log10_norm = straight_line(depth, per_layer)}}}, "line");
}

TEST(AVerdict, DependsOnTheChangeOverTheWholeDepth) {
  const double trainable =
      trainable_depth_scales * std::log10(std::exp(1.0)) / 2;  // 1.30 decades over 100 factors

  EXPECT_EQ(verdict_of_line(101, 0.99 * std::log10(2.0) / 100).fate, Fate::steady);
  EXPECT_EQ(verdict_of_line(101, -0.99 * std::log10(2.0) / 100).fate, Fate::steady);
  EXPECT_EQ(verdict_of_line(101, 1.01 * std::log10(2.0) / 100).fate, Fate::trainable);
  EXPECT_EQ(verdict_of_line(101, -0.99 * trainable / 100).fate, Fate::trainable);
  EXPECT_EQ(verdict_of_line(101, -1.01 * trainable / 100).fate, Fate::vanishes);
  EXPECT_EQ(verdict_of_line(101, 1.01 * trainable / 100).fate, Fate::explodes);
}

TEST(AVerdict, IsNotGivenForAShallowNetwork) {
  const Verdict verdict = verdict_of_line(6, -3);

  EXPECT_EQ(verdict.fate, Fate::shallow);
  EXPECT_THAT(sentence(verdict), HasSubstr("no verdict"));
}

TEST(AVerdict, IsNotGivenBeforeAPointIsMeasured) {
  const Verdict verdict = verdict_of_points({.points = {{.status = store::Status::not_done}}}, "unmeasured");

  EXPECT_EQ(verdict.fate, Fate::unmeasured);
  EXPECT_EQ(sentence(verdict), "not measured yet");
  EXPECT_EQ(remedy(verdict), "");
}

TEST(AVerdict, MeasuresTheDepthScaleOfTheSquaredGradient) {
  const double per_layer = -std::log10(std::exp(1.0)) / 2 / 41;  // the square falls by e in 41 layers

  EXPECT_NEAR(verdict_of_line(600, per_layer).depth_scale(), 41, 41 * 1e-9);
}

/// The root mean square is 10^(-0.5 (depth - layer) - 1), below 2^-150 = 10^-45.15 from depth - layer = 89
/// on.
SampleFile falling_below_fp32(bool lean) {
  return {.points = {{.log10_norm = straight_line(200, -0.5)}}, .lean = lean};
}

TEST(AVerdict, NamesTheFirstLayerBelowFp32FromTheSharesOfElements) {
  EXPECT_EQ(verdict_of_points(falling_below_fp32(false), "below").outside_fp32_from, 200 - 89);
}

TEST(AVerdict, NamesTheFirstLayerBelowFp32FromTheSizeIfTheFileIsLean) {
  EXPECT_EQ(verdict_of_points(falling_below_fp32(true), "below_lean").outside_fp32_from, 200 - 89);
}

TEST(AVerdict, NamesTheFirstLayerAboveFp32) {
  const Verdict verdict = verdict_of_line(200, 0.5);  // 10^(0.5 d - 1) passes 10^38.53 at d = 80

  EXPECT_EQ(verdict.outside_fp32_from, 200 - 80);
  EXPECT_THAT(sentence(verdict), HasSubstr("above fp32 from layer 120"));
}

TEST(AVerdict, CallsANetworkDeadIfMostSeedsHaveAnExactZero) {
  std::vector<double> dead = straight_line(50, -0.1);
  for (std::size_t i = 0; i < 20; ++i) dead[i] = -infinity;
  const SamplePoint alive{.seed = 0};
  const SamplePoint one{.seed = 1, .log10_norm = dead}, two{.seed = 2, .log10_norm = dead};

  const Verdict most = verdict_of_points({.points = {alive, one, two}}, "dead");
  const Verdict half = verdict_of_points({.points = {alive, one}}, "half_dead");

  EXPECT_EQ(most.fate, Fate::dead);
  EXPECT_EQ(most.dead_seeds, 2);
  EXPECT_EQ(half.fate, Fate::vanishes);
  EXPECT_THAT(sentence(half), HasSubstr("1 of 2 seeds dead"));
}

TEST(AVerdict, SaysWhatWasMeasuredWhatTheoryExpectsAndWhatToTry) {
  const Verdict verdict = verdict_of_points(falling_below_fp32(false), "sentence");

  EXPECT_NEAR(verdict.growth.theory, -0.1, rounding);
  EXPECT_EQ(
      sentence(verdict),
      "vanishes: x 0.3162 per layer, depth scale 0.434 layers, below fp32 from layer 111, chi1 = 0.631; "
      "critical sigma_w is 1.25");
  EXPECT_EQ(remedy(verdict), "set sigma_w to 1.25 (now 1)");
}

TEST(AVerdict, DoesNotSendACriticalNetworkToTheCriticalPoint) {
  SampleFile sample = falling_below_fp32(false);
  sample.critical_sigma_w = 1.001;

  EXPECT_THAT(remedy(verdict_of_points(sample, "critical")), HasSubstr("already critical"));
}

TEST(AVerdict, SpeaksOfTheGainWhereTheSchemeFixesTheVariance) {
  SampleFile sample = falling_below_fp32(false);
  sample.scheme = "he_normal";
  const std::string with_a_gain = remedy(verdict_of_points(sample, "gain"));
  sample.scheme = "pytorch_default";
  const std::string without = remedy(verdict_of_points(sample, "no_gain"));

  EXPECT_EQ(with_a_gain, "multiply the gain of he_normal by 1.25 for a sigma_w of 1.25 (now 1)");
  EXPECT_EQ(without, "use scheme = \"gaussian\" with sigma_w = 1.25 (now 1)");
}

TEST(AVerdict, AdvisesNoSigmaWThatTheMeasurementContradicts) {
  SampleFile sample = falling_below_fp32(false);
  sample.chi1 = 1.1;  // infinite width explodes, this network vanishes

  EXPECT_THAT(remedy(verdict_of_points(sample, "contradicts")), Not(HasSubstr("set sigma_w")));
}

TEST(AVerdict, AdvisesNoCriticalPointThatRepels) {
  SampleFile sample = falling_below_fp32(false);
  sample.critical_stability = theory::Stability::repelling;
  const Verdict verdict = verdict_of_points(sample, "repels");

  EXPECT_THAT(sentence(verdict), HasSubstr("critical sigma_w is 1.25 (repelling)"));
  EXPECT_THAT(remedy(verdict), Not(HasSubstr("set sigma_w")));
  EXPECT_THAT(remedy(verdict), HasSubstr("normalisation or residual blocks"));
}

TEST(AVerdict, KnowsAnotherRemedyWhereNoCriticalPointExists) {
  SampleFile sample = falling_below_fp32(false);
  sample.critical_sigma_w = nan;
  const Verdict verdict = verdict_of_points(sample, "no_critical");

  EXPECT_THAT(sentence(verdict), Not(HasSubstr("critical")));
  EXPECT_THAT(remedy(verdict), HasSubstr("normalisation or residual blocks"));
}

}  // namespace
}  // namespace gradflow::report
