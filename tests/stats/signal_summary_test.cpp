#include "gradflow/stats/signal_summary.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "stats/signals.hpp"

namespace gradflow::stats {
namespace {

// Rounding of the sums below: at most 32 rows and 17 blocks add up in a chain, so 100 * 2^-53 = 1e-14 of a
// sum of positive terms; ratios and powers multiply it by a few.
constexpr double rounding = 1e-13;

template <class Real>
class SummaryOf : public testing::Test {};
using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(SummaryOf, Reals);

TYPED_TEST(SummaryOf, ABatchAgreesWithTheDefinitions) {
  for (int width : {1, 5, 16, 100, 257}) {
    for (int samples : {2, 32, 33, 70}) {
      SCOPED_TRACE(testing::Message() << samples << " samples of width " << width);
      const auto signal = random_signal<TypeParam>(samples, width, 7, 0.3);
      const Definition exact(signal, samples);

      const SignalSummary summary = summary_of(signal, samples);

      const Moments& m = summary.moments();
      const long double rms = std::sqrt(exact.q()), m2 = exact.central(2);
      EXPECT_EQ(double(summary.elements()), exact.count());
      EXPECT_NEAR(double(m.mean_square().value() / exact.q()), 1, rounding);
      EXPECT_NEAR(m.mean_over_rms(), double(exact.mean() / rms), rounding);
      EXPECT_NEAR(m.variance_over_mean_square(), double(m2 / exact.q()), rounding);
      EXPECT_NEAR(m.skewness(), double(exact.central(3) / std::pow(m2, 1.5L)), 10 * rounding);
      EXPECT_NEAR(double(m.kurtosis() / (exact.central(4) / (m2 * m2))), 1, 10 * rounding);
      EXPECT_NEAR(summary.mean_cosine(), double(exact.mean_cosine()), rounding);
    }
  }
}

TYPED_TEST(SummaryOf, ASealedBatchSaysTheSameToTheBitAndTakesNoMore) {
  auto signal = random_signal<TypeParam>(70, 37, 5, 0.3);
  for (int s = 0; s < 70; ++s) signal.values(s, 4) = 0;  // a dead unit
  const SignalSummary open = summary_of(signal, 70);

  SignalSummary sealed = open;
  sealed.seal();

  EXPECT_EQ(sealed.mean_cosine(), open.mean_cosine());
  EXPECT_EQ(sealed.dead_unit_fraction(), 1.0 / 37);
  EXPECT_EQ(sealed.zero_fraction(), open.zero_fraction());
  EXPECT_THROW(sealed.merge(open), BrokenPromise);
}

TYPED_TEST(SummaryOf, ARangeLeavesThePaddingOut) {
  for (int width : {1, 5, 15, 16, 17, 100}) {
    for (double sign : {1.0, -1.0}) {
      // 2 .. 3, never 0: a padding column read as a number would show in the range, the zeros and the
      // moments.
      auto signal = random_signal<TypeParam>(3, width, 11);
      for (int s = 0; s < 3; ++s) {
        for (int j = 0; j < width; ++j)
          signal.values(s, j) = TypeParam(sign * (2 + double(s + 3 * j) / (3 * width)));
      }

      const SignalSummary summary = summary_of(signal, 3);

      const double rms = std::sqrt(summary.moments().mean_square().value());
      const double nearest = sign * 2, farthest = signal.values(2, width - 1);
      EXPECT_NEAR(summary.moments().min_over_rms() * rms, std::min(nearest, farthest), 4 * rounding);
      EXPECT_NEAR(summary.moments().max_over_rms() * rms, std::max(nearest, farthest), 4 * rounding);
      EXPECT_EQ(summary.moments().absmax().value(), std::abs(farthest));
      EXPECT_EQ(summary.zero_fraction(), 0);
      EXPECT_EQ(summary.dead_unit_fraction(), 0);
    }
  }
}

TYPED_TEST(SummaryOf, PaddingRowsAreNotRead) {
  const auto clean = random_signal<TypeParam>(5, 40, 13);
  auto dirty = clean.copy();
  for (int row = 5; row < dirty.rows(); ++row) {
    for (TypeParam& value : dirty.values.row(row)) value = std::numeric_limits<TypeParam>::quiet_NaN();
  }

  const SignalSummary expected = summary_of(clean, 5), summary = summary_of(dirty, 5);

  EXPECT_EQ(summary.samples(), 5);
  EXPECT_EQ(summary.moments().kurtosis(), expected.moments().kurtosis());
  EXPECT_EQ(summary.norms().log10_mean(), expected.norms().log10_mean());
  EXPECT_EQ(summary.mean_cosine(), expected.mean_cosine());
}

TYPED_TEST(SummaryOf, WildExponentsAgreesWithTheDefinitions) {
  const int samples = 45, width = 60;
  const auto signal = random_signal<TypeParam>(samples, width, 17, 0, 100000);
  const Definition exact(signal, samples);
  // The norms and cosines need every sample at its own scale; a cosine does not depend on the exponents.
  auto level = signal.copy();
  std::fill(level.exponents.begin(), level.exponents.end(), 0);

  const SignalSummary summary = summary_of(signal, samples);

  long double log_mean = 0, log_square = 0;
  for (int s = 0; s < samples; ++s) {
    const long double log = Definition(level, samples).log10_norm(s) + signal.exponents[s] * std::log10(2.0L);
    log_mean += log / samples;
    log_square += log * log / samples;
  }
  // Logs of size 3e4, spread 2e4: 45 roundings of 2^-53 of that.
  EXPECT_NEAR(summary.norms().log10_mean(), double(log_mean), 3e4 * rounding);
  EXPECT_NEAR(summary.norms().log10_std(), double(std::sqrt(log_square - log_mean * log_mean)),
              3e4 * rounding);
  EXPECT_NEAR(summary.mean_cosine(), double(Definition(level, samples).mean_cosine()), rounding);
  EXPECT_NEAR(summary.moments().mean_square().log10(),
              double(std::log10(exact.q()) + 2 * exact.exponent * std::log10(2.0L)), 6e4 * rounding);
  EXPECT_NEAR(summary.moments().kurtosis(), double(exact.central(4) / std::pow(exact.central(2), 2)), 1e-10);
  EXPECT_NEAR(summary.moments().mean_over_rms(), double(exact.mean() / std::sqrt(exact.q())), rounding);
}

TYPED_TEST(SummaryOf, NearbyExponentsPoolsTrueValues) {
  const int samples = 64, width = 33;
  const auto signal = random_signal<TypeParam>(samples, width, 19, 1, 3);
  const Definition exact(signal, samples);

  const SignalSummary summary = summary_of(signal, samples);

  const long double m2 = exact.central(2);
  EXPECT_NEAR(summary.moments().skewness(), double(exact.central(3) / std::pow(m2, 1.5L)), 10 * rounding);
  EXPECT_NEAR(double(summary.moments().kurtosis() / (exact.central(4) / (m2 * m2))), 1, 10 * rounding);
  EXPECT_NEAR(summary.moments().variance_over_mean_square(), double(m2 / exact.q()), rounding);
}

TYPED_TEST(SummaryOf, AConstantHasNoVarianceAtAll) {
  // 0.1 * 7 * 33 / (7 * 33) is not 0.1 in floating point.
  for (int width : {7, 33, 100}) {
    const auto signal = signal_of<TypeParam>(std::vector(33, std::vector(std::size_t(width), 0.1)));

    const SignalSummary summary = summary_of(signal, 33);

    EXPECT_EQ(summary.moments().variance_over_mean_square(), 0);
    EXPECT_TRUE(std::isnan(summary.moments().kurtosis()));
    EXPECT_TRUE(std::isnan(summary.moments().skewness()));
    EXPECT_NEAR(summary.moments().mean_over_rms(), 1, rounding);
  }
}

TYPED_TEST(SummaryOf, NothingButZeros) {
  const Signal<TypeParam> signal(64, 20);

  const SignalSummary summary = summary_of(signal, 40);

  EXPECT_EQ(summary.moments().mean_square().log10(), -INFINITY);
  EXPECT_EQ(summary.moments().absmax().log10(), -INFINITY);
  EXPECT_TRUE(std::isnan(summary.moments().kurtosis()));
  EXPECT_TRUE(std::isnan(summary.moments().mean_over_rms()));
  EXPECT_EQ(summary.norms().log10_mean(), -INFINITY);
  EXPECT_TRUE(std::isnan(summary.norms().log10_std()));
  EXPECT_EQ(summary.norms().zero_fraction(), 1);
  EXPECT_TRUE(std::isnan(summary.mean_cosine()));
  EXPECT_EQ(summary.zero_fraction(), 1);
  EXPECT_EQ(summary.dead_unit_fraction(), 1);
  EXPECT_EQ(summary.underflow_fraction(0), 0);
}

TYPED_TEST(SummaryOf, DeadSamplesStandAside) {
  // Sample 1 is dead; the others point along one line, of length 5 and 500.
  const auto signal = signal_of<TypeParam>({{3, 4, 0}, {0, 0, 0}, {300, 400, 0}});

  const SignalSummary summary = summary_of(signal, 3);

  EXPECT_NEAR(summary.norms().log10_mean(), std::log10(50.0), rounding);
  EXPECT_NEAR(summary.norms().log10_std(), 1, rounding);
  EXPECT_DOUBLE_EQ(summary.norms().zero_fraction(), 1.0 / 3);
  EXPECT_NEAR(summary.mean_cosine(), 1, rounding);
  EXPECT_DOUBLE_EQ(summary.zero_fraction(), 5.0 / 9);
  EXPECT_DOUBLE_EQ(summary.dead_unit_fraction(), 1.0 / 3);
}

TYPED_TEST(SummaryOf, OneSampleHasNeitherDeadUnitsNorPairs) {
  const SignalSummary summary = summary_of(signal_of<TypeParam>({{0, -2}}), 1);

  EXPECT_TRUE(std::isnan(summary.dead_unit_fraction()));
  EXPECT_TRUE(std::isnan(summary.mean_cosine()));
  EXPECT_EQ(summary.norms().log10_std(), 0);
  EXPECT_DOUBLE_EQ(summary.moments().min_over_rms(), -std::sqrt(2.0));
}

TYPED_TEST(SummaryOf, UnitsDeadInOneTileAndLiveInAnotherIsLive) {
  auto signal = Signal<TypeParam>(64, 18);
  signal.values(3, 0) = 1;
  signal.values(40, 17) = -1;

  const SignalSummary summary = summary_of(signal, 64);

  EXPECT_DOUBLE_EQ(summary.dead_unit_fraction(), 16.0 / 18);
}

TYPED_TEST(SummaryOf, CosinesOfKnownAngles) {
  EXPECT_NEAR(summary_of(signal_of<TypeParam>({{2, 0}, {0, 3}}), 2).mean_cosine(), 0, rounding);
  EXPECT_NEAR(summary_of(signal_of<TypeParam>({{2, 1}, {-4, -2}}), 2).mean_cosine(), -1, rounding);
  EXPECT_NEAR(summary_of(signal_of<TypeParam>({{1, 0}, {1, 1}}), 2).mean_cosine(), std::sqrt(0.5), rounding);
}

TYPED_TEST(SummaryOf, ANotANumberIsNotHidden) {
  auto signal = random_signal<TypeParam>(8, 20, 23);
  signal.values(4, 9) = std::numeric_limits<TypeParam>::quiet_NaN();
  signal.exponents[4] = 3000;

  const SignalSummary summary = summary_of(signal, 8);

  EXPECT_TRUE(std::isnan(summary.moments().mean_square().log10()));
  EXPECT_TRUE(std::isnan(summary.moments().kurtosis()));
  EXPECT_TRUE(std::isnan(summary.norms().log10_mean()));
}

TYPED_TEST(SummaryOf, AnInfinityIsNotHidden) {
  auto signal = random_signal<TypeParam>(8, 20, 23);
  signal.values(4, 9) = -std::numeric_limits<TypeParam>::infinity();

  const SignalSummary summary = summary_of(signal, 8);

  EXPECT_FALSE(std::isfinite(summary.moments().mean_square().log10()));
  EXPECT_FALSE(std::isfinite(summary.moments().kurtosis()));
  EXPECT_FALSE(std::isfinite(summary.norms().log10_mean()));
}

TYPED_TEST(SummaryOf, ZerosOfAnyExponentAreZeros) {
  auto signal = random_signal<TypeParam>(40, 20, 53);
  for (int s = 0; s < 35; ++s) std::fill_n(signal.values.row(s).data(), 20, TypeParam(0));
  for (int s = 0; s < 35; ++s) signal.exponents[s] = 1000 * s;
  auto plain = signal.copy();
  std::fill_n(plain.exponents.begin(), 35, 0);

  const SignalSummary summary = summary_of(signal, 40), expected = summary_of(plain, 40);

  EXPECT_EQ(summary.moments().mean_square(), expected.moments().mean_square());
  EXPECT_EQ(summary.moments().kurtosis(), expected.moments().kurtosis());
  EXPECT_TRUE(std::isfinite(summary.moments().kurtosis()));
}

class EveryFormat : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryFormat, testing::Range(0, format_count),
                         [](const auto& test) { return std::string(formats()[test.param].name); });

TEST_P(EveryFormat, LosesMagnitudesUpToItsThresholdAndNoLarger) {
  const int format = GetParam(), threshold = formats()[format].log2_threshold;
  // Five elements of a signal 2^-40 near the threshold, the sample's exponent bringing it there: at the
  // threshold, one step above, far above, far below, and a zero, which no format loses.
  const float at = std::ldexp(1.0f, -40);
  auto signal = Signal<float>(32, 5);
  signal.exponents[0] = threshold + 40;
  signal.values(0, 0) = -at;
  signal.values(0, 1) = std::nextafter(at, 1.0f);
  signal.values(0, 2) = 1;
  signal.values(0, 3) = at / 1024;

  EXPECT_DOUBLE_EQ(summary_of(signal, 1).underflow_fraction(format), 2.0 / 5);
}

TEST_P(EveryFormat, LosesNothingOfASampleThatBeginsRightAboveItsThreshold) {
  const int format = GetParam(), threshold = formats()[format].log2_threshold;
  const float above = std::nextafter(1.0f, 2.0f);
  Signal<float> begins_at = signal_of<float>({{1, 1.5, 3, -1}}),
                begins_above = signal_of<float>({{above, 1.5, 3, -above}});
  begins_at.exponents[0] = begins_above.exponents[0] = threshold;

  EXPECT_DOUBLE_EQ(summary_of(begins_at, 1).underflow_fraction(format), 2.0 / 4);
  EXPECT_DOUBLE_EQ(summary_of(begins_above, 1).underflow_fraction(format), 0);
}

TEST_P(EveryFormat, LosesAllOfASampleThatEndsAtItsThreshold) {
  const int format = GetParam(), threshold = formats()[format].log2_threshold;
  const float above = std::nextafter(1.0f, 2.0f);
  Signal<float> ends_at = signal_of<float>({{1, 0.5, 0, -1}}),
                ends_above = signal_of<float>({{above, 0.5, 0, -1}});
  ends_at.exponents[0] = ends_above.exponents[0] = threshold;

  EXPECT_DOUBLE_EQ(summary_of(ends_at, 1).underflow_fraction(format), 3.0 / 4);
  EXPECT_DOUBLE_EQ(summary_of(ends_above, 1).underflow_fraction(format), 2.0 / 4);
}

TEST_P(EveryFormat, LosesAllOrNothingOfSignalsFarFromItsThreshold) {
  auto signal = random_signal<double>(40, 10, 29);
  for (int s = 0; s < 10; ++s) signal.exponents[s] = -200000;

  // Ten samples of forty lie far below every threshold; the others are of size 1, no element below 2^-10 by
  // the seed.
  EXPECT_DOUBLE_EQ(summary_of(signal, 40).underflow_fraction(GetParam()), 0.25);
}

TEST(SummaryOfFloat32, CountsItsOwnSubnormals) {
  // 2^-149 and 2^-134 in float32: below the smallest number of bfloat16 but not of float32.
  auto signal = Signal<float>(32, 4);
  signal.values(0, 0) = std::ldexp(1.0f, -149);
  signal.values(0, 1) = std::ldexp(1.0f, -134);
  signal.values(0, 2) = 1;

  const SignalSummary summary = summary_of(signal, 1);

  const std::array<double, format_count> lost{2.0 / 4, 2.0 / 4, 2.0 / 4, 2.0 / 4, 0, 0};
  for (int f = 0; f < format_count; ++f) EXPECT_DOUBLE_EQ(summary.underflow_fraction(f), lost[f]) << f;
}

TEST(SummaryOfFloat64, CountsItsOwnSubnormals) {
  // 2^-1074 * 2^-1 is half the smallest subnormal and rounds to zero; twice as much does not.
  auto signal = Signal<double>(32, 3);
  signal.exponents[0] = -1;
  signal.values(0, 0) = std::ldexp(1.0, -1074);
  signal.values(0, 1) = std::ldexp(1.0, -1073);
  signal.values(0, 2) = 1;

  EXPECT_DOUBLE_EQ(summary_of(signal, 1).underflow_fraction(format_count - 1), 1.0 / 3);
}

TEST(SummaryOfFloat64, AHugeOffsetKeepsItsVariance) {
  // Mean 1e8, standard deviation 1: E[x^2] - E[x]^2 would lose all of it (1e16 * 2^-53 is about 1).
  const auto signal = random_signal<double>(64, 100, 31, 1e8);
  const Definition exact(signal, 64);

  const Moments moments = summary_of(signal, 64).moments();

  // A tile's rounded mean is off by e <= 4 ulp(1e8) = 6e-8 standard deviations: 3 e in the skewness, 4 e in
  // the kurtosis. The means of the two tiles differ by D < 0.1, which enters the variance as D^2 / 4: D e / 2
  // = 3e-9.
  const long double m2 = exact.central(2);
  EXPECT_NEAR(double(moments.variance_over_mean_square() / (m2 / exact.q())), 1, 3e-9);
  EXPECT_NEAR(moments.skewness(), double(exact.central(3) / std::pow(m2, 1.5L)), 2e-7);
  EXPECT_NEAR(moments.kurtosis(), double(exact.central(4) / (m2 * m2)), 3e-7);
}

TEST(Summary, HasTheSameBitsHoweverTheBatchIsCut) {
  const int samples = 150, width = 50;
  const auto batch = random_signal<float>(samples, width, 37, 0.2, 40);
  const SignalSummary whole = summary_of(batch, samples);

  for (int microbatch : {32, 64, 96}) {
    // Each microbatch is a signal of its own, behind the rows of another point of the bundle.
    SignalSummary joined;
    for (int first = 0; first < samples; first += microbatch) {
      const int count = std::min(microbatch, samples - first);
      Signal<float> part(32 + padded_rows(count), width);
      for (int s = 0; s < count; ++s) {
        std::copy_n(batch.values.row(first + s).data(), width, part.values.row(32 + s).data());
        part.exponents[32 + s] = batch.exponents[first + s];
      }
      for (int s = 0; s < count; s += tile_rows) {
        joined.merge(summarise(part, {.first_row = 32 + s, .samples = std::min(tile_rows, count - s)},
                               What::everything));
      }
    }

    EXPECT_EQ(joined.samples(), whole.samples());
    EXPECT_EQ(joined.moments().mean_square(), whole.moments().mean_square());
    EXPECT_EQ(joined.moments().skewness(), whole.moments().skewness());
    EXPECT_EQ(joined.moments().kurtosis(), whole.moments().kurtosis());
    EXPECT_EQ(joined.norms().log10_mean(), whole.norms().log10_mean());
    EXPECT_EQ(joined.norms().log10_std(), whole.norms().log10_std());
    EXPECT_EQ(joined.mean_cosine(), whole.mean_cosine());
    EXPECT_EQ(joined.underflow_fraction(0), whole.underflow_fraction(0));
  }
}

TEST(Summary, AddsInSixteenFixedLanes) {
  // The same order of additions spelt out: its bits must not depend on the instruction set.
  const auto signal = random_signal<float>(1, 77, 41);
  double lane[16] = {};
  for (int j = 0; j < 77; ++j) lane[j % 16] += double(signal.values(0, j)) * double(signal.values(0, j));
  for (int half = 8; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
  }

  EXPECT_EQ(summary_of(signal, 1).moments().mean_square(), Scaled::of(lane[0] / 77));
}

TEST(Summary, ReadsAsNotANumberWhereAPartWasNotAskedFor) {
  const auto signal = random_signal<float>(20, 30, 43);

  const SignalSummary summary = summary_of(signal, 20, What::squares);

  EXPECT_EQ(summary.moments().mean_square(), summary_of(signal, 20).moments().mean_square());
  EXPECT_TRUE(std::isnan(summary.moments().mean_over_rms()));
  EXPECT_TRUE(std::isnan(summary.moments().kurtosis()));
  EXPECT_TRUE(std::isnan(summary.norms().log10_mean()));
  EXPECT_TRUE(std::isnan(summary.mean_cosine()));
  EXPECT_TRUE(std::isnan(summary.dead_unit_fraction()));
  EXPECT_TRUE(std::isnan(summary.underflow_fraction(0)));
}

TEST(Summary, RefusesToMergeDifferentParts) {
  const auto signal = random_signal<float>(20, 30, 47);
  SignalSummary summary = summary_of(signal, 20, What::moments);

  EXPECT_THROW(summary.merge(summary_of(signal, 20, What::shape)), BrokenPromise);
}

}  // namespace
}  // namespace gradflow::stats
