#include <algorithm>
#include <array>
#include <cmath>

#include <gtest/gtest.h>

#include "gradflow/stats/signal_summary.hpp"
#include "stats/signals.hpp"

/// The parts of a summary that most selections do without, from signals with exponents.
namespace gradflow::stats {
namespace {

constexpr double rounding = 1e-13;

template <class Real>
class FurtherPartsOf : public testing::Test {};
using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(FurtherPartsOf, Reals);

/// The microbatch is a signal of its own; tiles are merged in order.
template <class Real>
SignalSummary cut_summary(const Signal<Real>& batch, int samples, int microbatch, int loss_scale) {
  SignalSummary joined;
  for (int first = 0; first < samples; first += microbatch) {
    const int count = std::min(microbatch, samples - first);
    Signal<Real> part(padded_rows(count), batch.width);
    for (int s = 0; s < count; ++s) {
      std::copy_n(batch.values.row(first + s).data(), batch.width, part.values.row(s).data());
      part.exponents[std::size_t(s)] = batch.exponents[std::size_t(first + s)];
    }
    for (int s = 0; s < count; s += tile_rows) {
      joined.merge(summarise(part, {.first_row = s, .samples = std::min(tile_rows, count - s)},
                             What::everything, loss_scale));
    }
  }
  return joined;
}

/// Samples of a deep gradient: around 10^-6000, a factor 2^40 apart.
template <class Real>
Signal<Real> far_away(int samples, int width, unsigned seed) {
  auto signal = random_signal<Real>(samples, width, seed, 0.3, 20);
  for (int s = 0; s < samples; ++s) signal.exponents[std::size_t(s)] -= 20000;
  return signal;
}

TYPED_TEST(FurtherPartsOf, AHistogramCountsOctavesFromThatOfTheRootMeanSquare) {
  const int samples = 45, width = 33;
  auto signal = far_away<TypeParam>(samples, width, 1);
  signal.exponents[7] = -30000;  // all in the first bin
  signal.values(3, 5) = 0;
  const Definition exact(signal, samples);
  const double log2_rms = double(std::log2(exact.q()) / 2) + double(exact.exponent);

  const auto figures = summary_of(signal, samples).further_figures();

  EXPECT_EQ(figures->log2_reference, std::floor(log2_rms));
  std::array<int, octave_bins> counts{};
  for (int s = 0; s < samples; ++s) {
    for (int j = 0; j < width; ++j) {
      if (signal.values(s, j) == 0) continue;
      const double octave =
          std::ilogb(double(signal.values(s, j))) + double(signal.exponents[std::size_t(s)]);
      const double bin = octave - figures->log2_reference - first_octave;
      ++counts[std::size_t(std::clamp(bin, 0.0, double(octave_bins - 1)))];
    }
  }
  for (std::size_t bin = 0; bin < octave_bins; ++bin) {
    EXPECT_DOUBLE_EQ(figures->octaves[bin], counts[bin] / exact.count()) << bin;
  }
  EXPECT_GE(counts[0], width);
}

TYPED_TEST(FurtherPartsOf, QuantilesAreThoseOfTheSortedElements) {
  const int samples = 70, width = 29;
  const auto signal = far_away<TypeParam>(samples, width, 2);
  const Definition exact(signal, samples);
  std::vector<long double> sorted;
  for (const auto& sample : exact.x) sorted.insert(sorted.end(), sample.begin(), sample.end());
  std::ranges::sort(sorted);

  const auto figures = summary_of(signal, samples).further_figures();

  for (std::size_t i = 0; i < quantile_percents.size(); ++i) {
    const auto rank = std::size_t(std::ceil(quantile_percents[i] * exact.count() / 100));
    const auto expected = double(sorted[rank - 1] / std::sqrt(exact.q()));
    // Half a cell, and the rounding of the root mean square.
    EXPECT_NEAR(figures->quantiles[i], expected, std::abs(expected) * (1.0 / 256 + rounding)) << i;
  }
}

TYPED_TEST(FurtherPartsOf, ACommonShareIsThatOfPairs) {
  const int samples = 50, width = 40;
  const auto signal = far_away<TypeParam>(samples, width, 3);
  const Definition exact(signal, samples);
  long double of_pairs = 0, pairs = 0;
  for (int s = 0; s < samples; ++s) {
    for (int t = 0; t < s; ++t, ++pairs)
      of_pairs += Definition::dot(exact.x[std::size_t(s)], exact.x[std::size_t(t)]);
  }

  const auto figures = summary_of(signal, samples).further_figures();

  EXPECT_NEAR(figures->common_share, double(of_pairs / pairs / (exact.q() * width)), rounding);
}

TYPED_TEST(FurtherPartsOf, ACommonShareOfEqualSamplesIsAllAndOfOppositeOnesMinus) {
  const auto equal = signal_of<TypeParam>({{1, 2, 0}, {1, 2, 0}, {1, 2, 0}});
  const auto opposite = signal_of<TypeParam>({{1, 2, 0}, {-1, -2, 0}});

  EXPECT_NEAR(summary_of(equal, 3).further_figures()->common_share, 1, rounding);
  EXPECT_NEAR(summary_of(opposite, 2).further_figures()->common_share, -1, rounding);
}

TYPED_TEST(FurtherPartsOf, OneSampleHasNoCommonShareButARank) {
  const auto figures = summary_of(signal_of<TypeParam>({{3, 0, -4}}), 1).further_figures();

  EXPECT_TRUE(std::isnan(figures->common_share));
  EXPECT_NEAR(figures->ranks.effective, 1, rounding);
  EXPECT_TRUE(std::isnan(figures->lag_cosines[0]));
  // rms 2.9: 3 and 4 stand in the octaves 0 and 1 above its own, 2 to 4.
  EXPECT_DOUBLE_EQ(figures->octaves[std::size_t(-first_octave)], 1.0 / 3);
  EXPECT_DOUBLE_EQ(figures->octaves[std::size_t(1 - first_octave)], 1.0 / 3);
}

TYPED_TEST(FurtherPartsOf, NothingButZerosHasNoFigures) {
  const auto figures = summary_of(Signal<TypeParam>(64, 20), 40).further_figures();

  EXPECT_EQ(figures->log2_reference, -INFINITY);
  for (const double share : figures->octaves) EXPECT_EQ(share, 0);
  for (const double quantile : figures->quantiles) EXPECT_TRUE(std::isnan(quantile));
  EXPECT_TRUE(std::isnan(figures->common_share));
  EXPECT_TRUE(std::isnan(figures->ranks.effective));
  EXPECT_TRUE(std::isnan(figures->ranks.stable));
  EXPECT_TRUE(std::isnan(figures->lag_cosines[0]));
}

TYPED_TEST(FurtherPartsOf, ANotANumberIsNotHidden) {
  auto signal = random_signal<TypeParam>(8, 20, 23);
  signal.values(4, 9) = std::numeric_limits<TypeParam>::quiet_NaN();

  const auto figures = summary_of(signal, 8).further_figures();

  EXPECT_TRUE(std::isnan(figures->octaves[0]));
  EXPECT_TRUE(std::isnan(figures->quantiles[3]));
  EXPECT_TRUE(std::isnan(figures->log2_reference));
}

TYPED_TEST(FurtherPartsOf, ASealedBatchSaysTheSameToTheBit) {
  const auto signal = far_away<TypeParam>(70, 37, 5);
  const SignalSummary open = summary_of(signal, 70);

  SignalSummary sealed = open;
  sealed.seal();
  sealed.seal();

  EXPECT_EQ(sealed.further_figures()->octaves, open.further_figures()->octaves);
  EXPECT_EQ(sealed.further_figures()->quantiles, open.further_figures()->quantiles);
  EXPECT_EQ(sealed.further_figures()->common_share, open.further_figures()->common_share);
  EXPECT_EQ(sealed.further_figures()->ranks.effective, open.further_figures()->ranks.effective);
  EXPECT_EQ(sealed.scaled_underflow_fraction(0), open.scaled_underflow_fraction(0));
}

TYPED_TEST(FurtherPartsOf, ABatchHasTheSameBitsHoweverItIsCut) {
  const int samples = 150, width = 50;
  const auto batch = far_away<TypeParam>(samples, width, 6);
  const SignalSummary whole = cut_summary(batch, samples, samples, 19990);

  for (int microbatch : {32, 64, 96}) {
    const SignalSummary joined = cut_summary(batch, samples, microbatch, 19990);

    const auto a = joined.further_figures(), b = whole.further_figures();
    EXPECT_EQ(a->log2_reference, b->log2_reference);
    EXPECT_EQ(a->octaves, b->octaves);
    EXPECT_EQ(a->quantiles, b->quantiles);
    EXPECT_EQ(a->common_share, b->common_share);
    EXPECT_EQ(a->ranks.effective, b->ranks.effective);
    EXPECT_EQ(a->ranks.stable, b->ranks.stable);
    EXPECT_EQ(a->lag_cosines, b->lag_cosines);
    for (int f = 0; f < format_count; ++f) {
      EXPECT_EQ(joined.scaled_underflow_fraction(f), whole.scaled_underflow_fraction(f));
      EXPECT_EQ(joined.scaled_overflow_fraction(f), whole.scaled_overflow_fraction(f));
    }
  }
}

class LossScale : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Catalogue, LossScale, testing::Range(0, format_count),
                         [](const auto& test) { return std::string(formats()[test.param].name); });

TEST_P(LossScale, MovesWhatAFormatLoses) {
  const int format = GetParam(), threshold = formats()[format].log2_threshold;
  // At the threshold, above it, and a zero, seen through a scale of 2^300.
  auto signal = Signal<double>(32, 3);
  signal.exponents[0] = threshold - 300;
  signal.values(0, 0) = 1;
  signal.values(0, 1) = std::nextafter(1.0, 2.0);

  const SignalSummary scaled = cut_summary(signal, 1, 1, 300);

  EXPECT_DOUBLE_EQ(scaled.scaled_underflow_fraction(format), 1.0 / 3);
  EXPECT_DOUBLE_EQ(scaled.underflow_fraction(format), 2.0 / 3);
}

/// Magnitudes that the format's own rounding turns into none, from the one on.
TEST_P(LossScale, OverflowsFromItsThresholdOn) {
  const int format = GetParam();
  const Format& limits = formats()[format];
  for (const int scale : {0, 16, -3000}) {
    auto signal = Signal<double>(32, 5);
    signal.exponents[0] = limits.overflow_exponent - scale;
    signal.values(0, 0) = -limits.overflow_mantissa;
    signal.values(0, 1) = std::nextafter(limits.overflow_mantissa, 0.0);
    signal.values(0, 2) = 3;
    signal.values(0, 3) = 0.001;

    EXPECT_DOUBLE_EQ(cut_summary(signal, 1, 1, scale).scaled_overflow_fraction(format), 2.0 / 5) << scale;
  }
}

TEST_P(LossScale, OverflowsAllOrNothingFarFromItsThreshold) {
  const int format = GetParam();
  auto signal = random_signal<float>(40, 10, 29);
  for (int s = 0; s < 10; ++s) signal.exponents[std::size_t(s)] = 200000;

  EXPECT_DOUBLE_EQ(cut_summary(signal, 40, 40, 0).scaled_overflow_fraction(format), 0.25);
  EXPECT_DOUBLE_EQ(cut_summary(signal, 40, 40, 9000).scaled_overflow_fraction(format), 1);
  EXPECT_DOUBLE_EQ(cut_summary(signal, 40, 40, -250000).scaled_overflow_fraction(format), 0);
}

TEST(LossScaleOfLostElements, CountsThemByTheirOctave) {
  SignalSummary summary = cut_summary(signal_of<float>({{1, 0, 0, 0}}), 1, 1, 100);
  summary.count_underflown(-140);  // times 2^100 still a number of bfloat16, but none of fp16
  summary.count_underflown(-200);

  EXPECT_DOUBLE_EQ(summary.scaled_underflow_fraction(2), 2.0 / 4);
  EXPECT_DOUBLE_EQ(summary.scaled_underflow_fraction(3), 0);
  EXPECT_DOUBLE_EQ(summary.underflow_fraction(3), 2.0 / 4);
  EXPECT_DOUBLE_EQ(summary.zero_fraction(), 1.0 / 4);
  // Far below: in the first bin.
  EXPECT_DOUBLE_EQ(summary.further_figures()->octaves[0], 2.0 / 4);
}

}  // namespace
}  // namespace gradflow::stats
