#include "gradflow/core/random.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include <Random123/philox.h>
#include <boost/math/special_functions/erf.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gradflow {
namespace {

using Bits = std::vector<std::uint32_t>;
using Numbers = std::vector<double>;

/// The specification of fill_bits: Random123, one counter at a time.
Bits reference_bits(Stream stream, std::uint32_t row, std::size_t size) {
  const r123::Philox4x32::key_type key{{std::uint32_t(stream.seed), std::uint32_t(stream.seed >> 32)}};
  Bits bits;
  for (std::uint32_t block = 0; bits.size() < size; ++block) {
    const auto words = r123::Philox4x32()({{block, row, stream.layer, std::uint32_t(stream.purpose)}}, key);
    bits.insert(bits.end(), words.begin(), words.end());
  }
  bits.resize(size);
  return bits;
}

Bits bits_of(Stream stream, std::uint32_t row, std::size_t size) {
  Bits bits(size);
  fill_bits(stream, row, std::span(bits));
  return bits;
}

TEST(Philox, GivesTheBitsOfRandom123) {
  for (const std::uint64_t seed : {std::uint64_t(0), std::uint64_t(7), std::uint64_t(0xFEDCBA9876543210)}) {
    for (const Purpose purpose : {Purpose::weight, Purpose::cotangent}) {
      for (const std::uint32_t row : {0u, 1u, 4000000000u}) {
        const Stream stream{seed, purpose, 12345};

        EXPECT_EQ(bits_of(stream, row, 1001), reference_bits(stream, row, 1001));
      }
    }
  }
}

// Random123's file of known answers: counter and key all zero.
TEST(Philox, GivesThePublishedAnswer) {
  const Stream zero{0, static_cast<Purpose>(0), 0};

  EXPECT_EQ(bits_of(zero, 0, 4), (Bits{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
}

TEST(Philox, PurposesKeepTheirNumbers) {
  EXPECT_EQ(std::uint32_t(Purpose::weight), 1u);
  EXPECT_EQ(std::uint32_t(Purpose::bias), 2u);
  EXPECT_EQ(std::uint32_t(Purpose::data), 3u);
  EXPECT_EQ(std::uint32_t(Purpose::target), 4u);
  EXPECT_EQ(std::uint32_t(Purpose::cotangent), 5u);
}

const Stream some_stream{2024, Purpose::weight, 3};

double signed_unit(std::uint32_t word) {
  return (std::floor(double(std::int32_t(word)) / 256) + 0.5) * 0x1p-23;
}

/// Columns 2k and 2k + 1 from their two words, in float64 from the float32 radius bits on.
std::array<double, 2> reference_normals(std::uint32_t radius_word, std::uint32_t angle_word) {
  const float u = std::min((float(radius_word) + 0.5f) * 0x1p-32f, 1 - 0x1p-24f);
  const double radius = std::sqrt(-2 * std::log(double(u)));
  const double angle = M_PI / 4 * signed_unit(angle_word << 2);
  const double x = (angle_word >> 31 ? -1 : 1) * std::cos(angle), y = std::sin(angle);
  return angle_word >> 30 & 1 ? std::array{radius * y, radius * x} : std::array{radius * x, radius * y};
}

// About ten operations in float32 follow one another, each rounded to 2^-24 relative.
constexpr double ten_roundings = 10 * 0x1p-24;

TEST(Normal, IsBoxAndMullersFormulaOfItsBits) {
  const Bits bits = bits_of(some_stream, 9, 100000);
  Numbers normals(bits.size());
  fill_normal(some_stream, 9, std::span(normals));

  for (std::size_t j = 0; j < bits.size(); j += 2) {
    const auto expected = reference_normals(bits[j], bits[j + 1]);
    ASSERT_NEAR(normals[j], expected[0], ten_roundings * std::abs(expected[0])) << j;
    ASSERT_NEAR(normals[j + 1], expected[1], ten_roundings * std::abs(expected[1])) << j;
  }
}

// Frozen: these bits are part of every result file. Only + - * and sqrt made them, so they hold on every
// machine.
TEST(Normal, KeepsItsBits) {
  std::vector<float> z(8);
  fill_normal(Stream{1, Purpose::weight, 1}, 0, std::span(z));

  EXPECT_THAT(z, testing::ElementsAre(-0x1.b4386cp-1f, 0x1.1e746ap+0f, 0x1.40f41cp-3f, 0x1.451b28p+0f,
                                      0x1.a07bep-1f, 0x1.4c5c48p+0f, 0x1.01f3eep-2f, 0x1.3a9f66p-2f));
}

TEST(TruncatedNormal, KeepsItsBits) {
  std::vector<float> z(4);
  fill_truncated_normal(Stream{1, Purpose::weight, 1}, 0, std::span(z));

  EXPECT_THAT(z, testing::ElementsAre(0x1.0ee996p+0f, 0x1.2abef2p+0f, 0x1.6959d4p+0f, 0x1.65280ap-1f));
}

TEST(TruncatedNormal, IsTheQuantileOfItsBits) {
  const Bits bits = bits_of(some_stream, 9, 100000);
  Numbers truncated(bits.size());
  fill_truncated_normal(some_stream, 9, std::span(truncated));

  for (std::size_t j = 0; j < bits.size(); ++j) {
    const float x = float(std::erf(std::sqrt(2.0))) * float(signed_unit(bits[j]));
    const double z = std::sqrt(2.0) * boost::math::erf_inv(double(x));
    ASSERT_NEAR(truncated[j], z, 1e-6 * std::abs(z))
        << j;  // Giles' polynomial is good to 3.5e-7, then roundings
    ASSERT_LE(std::abs(truncated[j]), 2.0);
  }
}

/// One of the distributions, all of mean 0, with E z^2 and E z^4.
struct Distribution {
  std::string name;
  void (*fill_float)(Stream, std::uint32_t, std::span<float>);
  void (*fill_double)(Stream, std::uint32_t, std::span<double>);
  double variance;
  double fourth_moment;
};

const double density_at_two = std::exp(-2.0) / std::sqrt(2 * M_PI) / std::erf(std::sqrt(2.0));
const double truncated_variance = 1 - 4 * density_at_two;

std::vector<Distribution> distributions() {
  return {{"normal", fill_normal<float>, fill_normal<double>, 1, 3},
          {"uniform", fill_uniform<float>, fill_uniform<double>, 1, 9.0 / 5},
          {"truncated_normal", fill_truncated_normal<float>, fill_truncated_normal<double>,
           truncated_variance, 3 * truncated_variance - 16 * density_at_two}};
}

Numbers draw(const Distribution& distribution, Stream stream, int rows, int cols) {
  Numbers numbers(std::size_t(rows) * std::size_t(cols));
  for (int i = 0; i < rows; ++i) {
    distribution.fill_double(
        stream, std::uint32_t(i),
        std::span(numbers).subspan(std::size_t(i) * std::size_t(cols), std::size_t(cols)));
  }
  return numbers;
}

template <class Function>
double mean_of(const Numbers& numbers, Function f) {
  double sum = 0;
  for (const double z : numbers) sum += f(z);
  return sum / double(numbers.size());
}

/// Mean of f(a) f(b), f of mean 0 and variance 1: 0 with standard error 1/sqrt(n) if a and b are independent.
template <class Function>
double mean_product(std::span<const double> a, std::span<const double> b, Function f) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += f(a[i]) * f(b[i]);
  return sum / double(a.size());
}

class EveryDistribution : public testing::TestWithParam<Distribution> {};

TEST_P(EveryDistribution, GivesPrefixesOfOneAnother) {
  Numbers whole(1000);
  GetParam().fill_double(some_stream, 5, std::span(whole));

  for (std::size_t size = 0; size <= 300; ++size) {
    Numbers prefix(size);
    GetParam().fill_double(some_stream, 5, std::span(prefix));
    ASSERT_TRUE(std::ranges::equal(prefix, std::span(whole).first(size))) << size;
  }
}

TEST_P(EveryDistribution, WritesNothingBeyondItsRow) {
  std::vector<float> memory(101, -7.0f);
  GetParam().fill_float(some_stream, 5, std::span(memory).first(100));

  EXPECT_EQ(memory.back(), -7.0f);
}

TEST_P(EveryDistribution, IsTheSameInFloatAndDouble) {
  std::vector<float> narrow(777);
  std::vector<double> wide(777);
  GetParam().fill_float(some_stream, 2, std::span(narrow));
  GetParam().fill_double(some_stream, 2, std::span(wide));

  EXPECT_TRUE(std::ranges::equal(narrow, wide, [](float a, double b) { return double(a) == b; }));
}

TEST_P(EveryDistribution, HasItsMoments) {
  const auto& [name, fill_float, fill_double, variance, fourth_moment] = GetParam();
  const Numbers numbers = draw(GetParam(), some_stream, 1024, 1024);
  const double n = double(numbers.size());
  const auto power = [](int k) { return [=](double z) { return std::pow(z, k); }; };

  EXPECT_NEAR(mean_of(numbers, power(1)), 0, 4 * std::sqrt(variance / n));
  EXPECT_NEAR(mean_of(numbers, power(2)), variance, 4 * std::sqrt((fourth_moment - variance * variance) / n));
  // The sixth and eighth moments of these bounded or normal tails are at most 15 v^3 and 105 v^4 (normal).
  EXPECT_NEAR(mean_of(numbers, power(3)), 0, 4 * std::sqrt(15 * std::pow(variance, 3) / n));
  EXPECT_NEAR(mean_of(numbers, power(4)), fourth_moment, 4 * std::sqrt(96 * std::pow(variance, 4) / n));
}

TEST_P(EveryDistribution, IsNeverZero) {
  const Numbers numbers = draw(GetParam(), some_stream, 1024, 4096);

  EXPECT_EQ(std::ranges::count(numbers, 0.0), 0);
}

TEST_P(EveryDistribution, HasIndependentColumnsAndRows) {
  const auto& [name, fill_float, fill_double, variance, fourth_moment] = GetParam();
  const Numbers numbers = draw(GetParam(), some_stream, 256, 4096);
  const double spread = std::sqrt(variance), squares_spread = std::sqrt(fourth_moment - variance * variance);
  const auto value = [&](double z) { return z / spread; };
  const auto square = [&, v = variance](double z) { return (z * z - v) / squares_spread; };

  for (const std::size_t lag : {1, 2, 3, 4, 5, 8, 16, 31, 32, 64, 128, 4096, 8192}) {
    const auto early = std::span<const double>(numbers).first(numbers.size() - lag);
    const auto late = std::span<const double>(numbers).subspan(lag);
    const double limit = 4.5 / std::sqrt(double(early.size()));  // 26 comparisons: 4.5 standard errors
    EXPECT_NEAR(mean_product(early, late, value), 0, limit) << "lag " << lag;
    EXPECT_NEAR(mean_product(early, late, square), 0, limit) << "squares, lag " << lag;
  }
}

TEST_P(EveryDistribution, IsIndependentOverSeedsPurposesAndLayers) {
  const auto& [name, fill_float, fill_double, variance, fourth_moment] = GetParam();
  const auto value = [s = std::sqrt(variance)](double z) { return z / s; };
  const Numbers numbers = draw(GetParam(), {1, Purpose::weight, 1}, 64, 1024);
  const double limit = 4.5 / std::sqrt(double(numbers.size()));

  for (const Stream other :
       {Stream{2, Purpose::weight, 1}, Stream{1 | std::uint64_t(1) << 32, Purpose::weight, 1},
        Stream{1, Purpose::bias, 1}, Stream{1, Purpose::weight, 2}}) {
    EXPECT_NEAR(mean_product(numbers, draw(GetParam(), other, 64, 1024), value), 0, limit);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, EveryDistribution, testing::ValuesIn(distributions()),
                         [](const auto& distribution) { return distribution.param.name; });

TEST(Normal, HasTheTailsOfTheNormalDistribution) {
  const Numbers numbers = draw(distributions().front(), some_stream, 1024, 4096);
  const double n = double(numbers.size());

  for (const double k : {0.01, 0.5, 1.0, 2.0, 3.0, 4.0, 4.5}) {
    const double p = std::erfc(k / std::sqrt(2.0)) / 2;
    const double limit = 4.5 * std::sqrt(p * (1 - p) / n);
    EXPECT_NEAR(mean_of(numbers, [=](double z) { return z > k; }), p, limit) << k;
    EXPECT_NEAR(mean_of(numbers, [=](double z) { return z < -k; }), p, limit) << -k;
  }
  EXPECT_LT(*std::ranges::max_element(numbers), 6.77);  // sqrt(-2 ln 2^-33) = 6.7637
}

// Pearson's chi^2 over 64 cells of equal probability: mean 63, variance 126.
TEST(Normal, FillsEqualCellsEqually) {
  const Numbers numbers = draw(distributions().front(), some_stream, 256, 4096);
  std::array<double, 64> cells{};

  for (const double z : numbers) cells[std::size_t(std::min(63.0, 32 * std::erfc(-z / std::sqrt(2.0))))] += 1;

  const double expected = double(numbers.size()) / 64;
  double chi2 = 0;
  for (const double count : cells) chi2 += (count - expected) * (count - expected) / expected;
  EXPECT_NEAR(chi2, 63, 4 * std::sqrt(126.0));
}

TEST(TruncatedNormal, StatesItsStandardDeviation) {
  EXPECT_NEAR(truncated_normal_std, std::sqrt(truncated_variance), 1e-15);
}

}  // namespace
}  // namespace gradflow
