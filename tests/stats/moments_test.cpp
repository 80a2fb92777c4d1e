#include "gradflow/stats/moments.hpp"

#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "gradflow/stats/log_norms.hpp"

namespace gradflow::stats {
namespace {

/// The moments of `numbers` * 2^exponent, from the definitions.
Moments moments_of(const std::vector<double>& numbers, std::int64_t exponent = 0) {
  Moments m{
      .count = std::int64_t(numbers.size()), .exponent = exponent, .min = numbers[0], .max = numbers[0]};
  for (double x : numbers) {
    m.mean += x / double(numbers.size());
    m.squares += x * x;
    m.min = std::min(m.min, x);
    m.max = std::max(m.max, x);
  }
  for (double x : numbers) {
    const double d = x - m.mean;
    m.m2 += d * d;
    m.m3 += d * d * d;
    m.m4 += d * d * d * d;
  }
  return m;
}

/// Skewed on purpose: exponentially distributed.
std::vector<double> skewed_numbers(int count, unsigned seed) {
  std::mt19937_64 bits(seed);
  std::exponential_distribution<double> draw(1.0);
  std::vector<double> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(draw(bits));
  return numbers;
}

TEST(Moments, MergeToThoseOfTheJoinedNumbers) {
  const std::vector<double> first = skewed_numbers(37, 1), second = skewed_numbers(501, 2);
  std::vector<double> joined = first;
  joined.insert(joined.end(), second.begin(), second.end());

  Moments merged = moments_of(first);
  merged.merge(moments_of(second));

  // 538 additions of numbers of one sign round by at most 538 * 2^-53 = 6e-14; m4 adds a few terms of its own
  // size.
  const Moments whole = moments_of(joined);
  EXPECT_EQ(merged.count, whole.count);
  EXPECT_NEAR(merged.mean / whole.mean, 1, 1e-13);
  EXPECT_NEAR(merged.m2 / whole.m2, 1, 1e-13);
  EXPECT_NEAR(merged.m3 / whole.m3, 1, 1e-12);
  EXPECT_NEAR(merged.m4 / whole.m4, 1, 1e-12);
  EXPECT_NEAR(merged.squares / whole.squares, 1, 1e-13);
  EXPECT_EQ(merged.min, whole.min);
  EXPECT_EQ(merged.max, whole.max);
}

TEST(Moments, OfDifferentExponentsMergeAsIfOfOne) {
  std::vector<double> eighths = skewed_numbers(64, 3);
  for (double& x : eighths) x *= 8;

  Moments same = moments_of(skewed_numbers(64, 4), 0);
  same.merge(moments_of(eighths, 0));
  Moments mixed = moments_of(skewed_numbers(64, 4), 0);
  mixed.merge(moments_of(skewed_numbers(64, 3), 3));

  // Powers of two shift without rounding, so every ratio is the same to the last bit.
  EXPECT_EQ(mixed.kurtosis(), same.kurtosis());
  EXPECT_EQ(mixed.skewness(), same.skewness());
  EXPECT_EQ(mixed.mean_over_rms(), same.mean_over_rms());
  EXPECT_EQ(mixed.mean_square(), same.mean_square());
}

TEST(Moments, OfASignalFarBelowTheOtherCountAsZeros) {
  Moments merged = moments_of({3, 5}, 100000);
  merged.merge(moments_of({7, 9}, -100000));

  const Moments zeros = moments_of({3, 5, 0, 0});
  EXPECT_DOUBLE_EQ(merged.kurtosis(), zeros.kurtosis());
  EXPECT_DOUBLE_EQ(merged.mean_over_rms(), zeros.mean_over_rms());
  EXPECT_EQ(merged.mean_square(), Scaled::of(34.0 / 4, 200000));
  EXPECT_EQ(merged.absmax(), Scaled::of(5, 100000));
}

TEST(Moments, MergedWithNothingKeepTheirBits) {
  const Moments some = moments_of(skewed_numbers(10, 5), -17);

  Moments from_the_left;
  from_the_left.merge(some);
  Moments from_the_right = some;
  from_the_right.merge({});

  for (const Moments& merged : {from_the_left, from_the_right}) {
    EXPECT_EQ(merged.count, some.count);
    EXPECT_EQ(merged.exponent, some.exponent);
    EXPECT_EQ(merged.mean, some.mean);
    EXPECT_EQ(merged.m4, some.m4);
  }
}

TEST(Moments, OfZerosHaveNoRatios) {
  const Moments zeros{.count = 12};

  EXPECT_EQ(zeros.mean_square().log10(), -INFINITY);
  EXPECT_EQ(zeros.absmax().log10(), -INFINITY);
  EXPECT_TRUE(std::isnan(zeros.mean_over_rms()));
  EXPECT_TRUE(std::isnan(zeros.variance_over_mean_square()));
  EXPECT_TRUE(std::isnan(zeros.kurtosis()));
  EXPECT_TRUE(std::isnan(zeros.skewness()));
  EXPECT_TRUE(std::isnan(zeros.min_over_rms()));
}

TEST(LogNorms, MergeToThoseOfAllSamples) {
  LogNorms merged = LogNorms::of(std::vector<double>{-3, 1}, 2);
  merged.merge(LogNorms::of(std::vector<double>{}, 3));
  merged.merge(LogNorms::of(std::vector<double>{4, 6, 7}, 0));

  // mean 3, squared deviations 36 + 4 + 1 + 9 + 16 = 66
  EXPECT_DOUBLE_EQ(merged.log10_mean(), 3);
  EXPECT_DOUBLE_EQ(merged.log10_std(), std::sqrt(66.0 / 5));
  EXPECT_DOUBLE_EQ(merged.zero_fraction(), 0.5);
}

TEST(LogNorms, OfDeadSamplesAloneAreMinusInfinityWithoutSpread) {
  LogNorms dead = LogNorms::of(std::vector<double>{}, 32);
  dead.merge(LogNorms::of(std::vector<double>{}, 1));

  EXPECT_EQ(dead.log10_mean(), -INFINITY);
  EXPECT_TRUE(std::isnan(dead.log10_std()));
  EXPECT_EQ(dead.zero_fraction(), 1);
}

TEST(LogNorms, OfOneSampleHaveNoSpread) {
  const LogNorms one = LogNorms::of(std::vector<double>{-4000.25}, 0);

  EXPECT_EQ(one.log10_mean(), -4000.25);
  EXPECT_EQ(one.log10_std(), 0);
}

}  // namespace
}  // namespace gradflow::stats
