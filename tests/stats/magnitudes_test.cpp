#include "gradflow/stats/magnitudes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace gradflow::stats {
namespace {

/// v * 2^exponent
struct Number {
  double v;
  std::int64_t exponent;
};

/// Normal numbers over hundreds of octaves, as the samples of a deep network have them, and some zeros.
std::vector<Number> numbers(int count, unsigned seed) {
  std::mt19937_64 bits(seed);
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int> exponent(-20300, -20000);
  std::vector<Number> all;
  for (int i = 0; i < count; ++i) all.push_back({i % 17 == 0 ? 0 : normal(bits), exponent(bits)});
  return all;
}

/// @param tile  numbers that are counted together
Magnitudes counted(const std::vector<Number>& all, std::size_t tile) {
  Magnitudes sum;
  for (std::size_t first = 0; first < all.size(); first += tile) {
    MagnitudeCounter counter(-19998);
    for (std::size_t i = first; i < std::min(first + tile, all.size()); ++i) {
      counter.add(std::span<const double>(&all[i].v, 1), all[i].exponent);
    }
    sum.merge(std::move(counter).counts());
  }
  return sum;
}

long double in_units_of_2_to_minus_20000(const Number& number) {
  return std::ldexp((long double)(number.v), int(number.exponent + 20000));
}

TEST(CellOfAMagnitude, HoldsItBetweenItsBorders) {
  std::mt19937_64 bits(1);
  std::uniform_real_distribution<double> mantissa(1, 2);
  for (int e = -1070; e <= 1023; e += 7) {
    const double x = std::ldexp(mantissa(bits), e);

    const std::int64_t cell = cell_of(x);

    const auto octave = std::int64_t(std::floor(double(cell) / cells_per_octave));
    const auto step = double(cell - octave * cells_per_octave);
    const auto border = [&](double steps) {
      return std::ldexp((long double)(1 + steps / cells_per_octave), int(octave));
    };
    EXPECT_LE(border(step), x) << e;
    EXPECT_LT(x, border(step + 1)) << e;
  }
  EXPECT_EQ(cell_of(1), 0);
  EXPECT_EQ(cell_of(std::nextafter(1, 0)), -1);
  EXPECT_EQ(cell_of(std::numeric_limits<double>::denorm_min()), -1074 * cells_per_octave);
}

TEST(CellOfAMagnitude, HasAMiddleWithinItsStatedAccuracy) {
  for (int i = 0; i < 100000; ++i) {
    const double x = 0.5 + i / 10000.0;
    EXPECT_LE(std::abs(middle_of(cell_of(x)).value() - x), x / 256);
  }
  EXPECT_EQ(middle_of(-20000 * cells_per_octave + 64).exponent, -20000);
}

TEST(MagnitudesOfNumbers, CountOctavesAsOneByOne) {
  const std::vector<Number> all = numbers(2000, 2);
  const Magnitudes magnitudes = counted(all, 300);

  for (std::int64_t octave = -20340; octave < -19990; ++octave) {
    const auto count = std::count_if(all.begin(), all.end(), [&](const Number& x) {
      return x.v != 0 && std::ilogb(x.v) + x.exponent == octave;
    });
    EXPECT_EQ(magnitudes.in_octaves(octave, octave + 1), count) << octave;
  }
  EXPECT_EQ(magnitudes.in_octaves(-30000, 0), 2000 - 118);
}

TEST(MagnitudesOfNumbers, HaveTheQuantilesOfTheSortedNumbers) {
  std::vector<Number> all = numbers(2000, 3);
  const Magnitudes magnitudes = counted(all, 300);
  std::ranges::sort(all, {}, in_units_of_2_to_minus_20000);

  for (const int percent : {1, 5, 25, 50, 75, 95, 99, 100}) {
    const auto rank = std::size_t(std::ceil(percent * 20.0));
    const long double exact = in_units_of_2_to_minus_20000(all[rank - 1]);

    const Scaled found = magnitudes.quantile(percent, 2000);

    const long double quantile = std::ldexp((long double)(found.mantissa), int(found.exponent + 20000));
    EXPECT_LE(std::abs(quantile - exact), std::abs(exact) / 256) << percent << " %";
  }
}

TEST(MagnitudesOfNumbers, AreTheSameHoweverTheyAreCut) {
  const std::vector<Number> all = numbers(1000, 4);
  const Magnitudes whole = counted(all, 1000);

  for (const std::size_t tile : {1, 32, 999}) {
    const Magnitudes cut = counted(all, tile);
    for (const int percent : {1, 37, 50, 99})
      EXPECT_EQ(cut.quantile(percent, 1000), whole.quantile(percent, 1000));
    for (std::int64_t octave = -20320; octave < -19990; ++octave) {
      EXPECT_EQ(cut.in_octaves(octave, octave + 1), whole.in_octaves(octave, octave + 1));
    }
  }
}

TEST(MagnitudesOfNumbers, TakeALostElementForAZeroOfAKnownOctave) {
  Magnitudes magnitudes({}, {{0, 3}});  // 1, 1, 1
  magnitudes.count_lost(-300);

  EXPECT_EQ(magnitudes.in_octaves(-300, -299), 1);
  EXPECT_EQ(magnitudes.in_octaves(0, 1), 3);
  EXPECT_TRUE(magnitudes.quantile(25, 4).is_zero());
  EXPECT_FALSE(magnitudes.quantile(26, 4).is_zero());
}

}  // namespace
}  // namespace gradflow::stats
