#include "gradflow/core/scaled.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <boost/multiprecision/cpp_bin_float.hpp>
#include <gtest/gtest.h>

namespace gradflow {
namespace {

namespace multiprecision = boost::multiprecision;

/// 332 bits and an exponent of 64: holds every number below, and a sum of two exactly if their exponents lie
/// within 200.
using Exact = multiprecision::number<
    multiprecision::cpp_bin_float<332, multiprecision::digit_base_2, void, std::int64_t>>;

Exact exact(Scaled a) { return ldexp(Exact(a.mantissa), a.exponent); }

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double largest = std::numeric_limits<double>::max();
constexpr double smallest = std::numeric_limits<double>::denorm_min();
/// One rounding to 53 bits, relative.
constexpr double rounding = 0x1p-53;

/// Both signs, both ends of a double, odd and even exponents, and exponents no double has.
std::vector<Scaled> numbers() {
  std::vector<Scaled> numbers;
  for (const double mantissa : {1.0, -1.0, 1 + 0x1p-52, -2 + 0x1p-52, M_PI / 2}) {
    for (const std::int64_t exponent :
         {-1'000'000'007, -5001, -1075, -61, -1, 0, 1, 2, 60, 1024, 5001, 1 << 30}) {
      numbers.push_back({mantissa, exponent});
    }
  }
  return numbers;
}

void expect_normal(Scaled a) {
  EXPECT_GE(std::abs(a.mantissa), 1);
  EXPECT_LT(std::abs(a.mantissa), 2);
}

void expect_rounded(Scaled a, const Exact& truth) {
  expect_normal(a);
  EXPECT_LE(abs(exact(a) - truth), rounding * abs(truth));
}

TEST(Scaled, IsExactlyTheNumberItIsMadeOf) {
  for (const double value :
       {1.0, -3.0, 0.1, smallest, -5 * smallest, std::numeric_limits<double>::min(), largest}) {
    for (const std::int64_t exponent : {-10'000'000'000, -7L, 0L, 10'000'000'000}) {
      const Scaled a = Scaled::of(value, exponent);

      expect_normal(a);
      EXPECT_EQ(exact(a), ldexp(Exact(value), exponent)) << value << ' ' << exponent;
    }
    EXPECT_EQ(Scaled::of(value).value(), value);
  }
}

TEST(Scaled, HasOneZero) {
  for (const Scaled zero : {Scaled(), Scaled::of(0, 77), Scaled::of(-0.0, -77), Scaled{1, 9} - Scaled{1, 9},
                            Scaled() * Scaled{1, 9}, Scaled() / Scaled{1, 9}, sqrt(Scaled())}) {
    EXPECT_TRUE(zero.is_zero());
    EXPECT_EQ(zero, Scaled());
    EXPECT_EQ(zero.value(), 0);
    EXPECT_EQ(zero.log10(), -infinity);
  }
}

TEST(Scaled, KeepsWhatIsNotFinite) {
  EXPECT_EQ(Scaled::of(infinity, 5).value(), infinity);
  EXPECT_EQ(Scaled::of(-infinity, -5000).value(), -infinity);
  EXPECT_TRUE(std::isnan(Scaled::of(std::nan(""), 5).value()));
}

TEST(Scaled, BecomesZeroOrInfinityOnlyAsADouble) {
  for (const std::int64_t beyond : {1024L, 4999L, 5000L, 5001L, 1L << 40}) {
    EXPECT_EQ((Scaled{1, beyond}).value(), infinity) << beyond;
    EXPECT_EQ((Scaled{-1, beyond}).value(), -infinity) << beyond;
    EXPECT_EQ((Scaled{1, -beyond - 51}).value(), 0) << beyond;  // half of 2^-1074 rounds to the even 0
  }
  EXPECT_EQ((Scaled{2 - 0x1p-52, 1023}).value(), largest);
  EXPECT_EQ((Scaled{1, -1074}).value(), smallest);
}

TEST(Scaled, MultipliesAndDividesWithOneRounding) {
  for (const Scaled a : numbers()) {
    for (const Scaled b : numbers()) {
      expect_rounded(a * b, exact(a) * exact(b));
      expect_rounded(a / b, exact(a) / exact(b));
    }
  }
}

// The smaller operand is shifted into a double: exact down to 2^-1074, which is no bit of the sum.
TEST(Scaled, AddsAndSubtractsWithOneRounding) {
  for (const Scaled a : numbers()) {
    for (const std::int64_t apart : {0, 1, -1, 2, 30, -52, 53, -54, 100, -200}) {
      for (const double mantissa : {1.0, -1.0, 1.5, -2 + 0x1p-52}) {
        const Scaled b{mantissa, a.exponent + apart};
        const Exact sum = exact(a) + exact(b);

        if (sum == 0) {
          EXPECT_TRUE((a + b).is_zero());
        } else {
          expect_rounded(a + b, sum);
        }
        EXPECT_EQ(a - b, a + -b);
        EXPECT_EQ(a + b, b + a);
      }
    }
  }
}

TEST(Scaled, KeepsTheLargerOperandHoweverFarTheOtherIs) {
  for (const std::int64_t apart : {54L, 1075L, 1L << 13, 1L << 40}) {
    const Scaled large{1.25, 0}, small{-1.75, -apart};
    EXPECT_EQ(large + small, large) << apart;
    EXPECT_EQ(small + large, large) << apart;
  }
}

TEST(Scaled, TellsCancellingNeighboursApart) {
  for (const std::int64_t exponent : {-1'000'000L, 0L, 1'000'000L}) {
    const Scaled above{1, exponent}, below{2 - 0x1p-52, exponent - 1};
    EXPECT_EQ(above - below, (Scaled{1, exponent - 53}));
  }
}

TEST(Scaled, IsOrderedAsTheNumbersAre) {
  std::vector<Scaled> all = numbers();
  all.push_back({});
  for (const Scaled a : all) {
    for (const Scaled b : all) {
      EXPECT_EQ(a < b, exact(a) < exact(b))
          << a.mantissa << ' ' << a.exponent << ", " << b.mantissa << ' ' << b.exponent;
      EXPECT_EQ(a == b, exact(a) == exact(b));
    }
  }
}

TEST(Scaled, TakesRootsWithOneRounding) {
  for (const double mantissa : {1.0, 1 + 0x1p-52, 1.5, 2 - 0x1p-52}) {
    for (const std::int64_t exponent : {-1'000'000'007, -6, -5, -3, -2, -1, 0, 1, 2, 3, 1'000'000'007}) {
      const Scaled a{mantissa, exponent};
      expect_rounded(sqrt(a), sqrt(exact(a)));
    }
  }
  EXPECT_EQ(sqrt(Scaled{1, -4}), (Scaled{1, -2}));
  EXPECT_EQ(sqrt(Scaled{1.125, -5}), (Scaled{1.5, -3}));  // 9/256
}

// log10 of the mantissa to two units (of a number below 0.31), the constant and its product rounded, then the
// sum.
TEST(Scaled, HasTheLogarithmOfTheNumber) {
  for (const Scaled a : numbers()) {
    const Exact truth = log10(abs(exact(a)));
    const double product = std::abs(double(a.exponent)) * Scaled::log10_of_2;
    EXPECT_LE(abs(Exact(a.log10()) - truth), rounding * (4 * 0.31 + 2 * product + abs(truth)))
        << a.mantissa << ' ' << a.exponent;
  }
}

}  // namespace
}  // namespace gradflow
