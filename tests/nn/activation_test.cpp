#include <cmath>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "one_sample.hpp"

namespace gradflow::nn {
namespace {

/// Magnitudes 1e-38 .. 1e30 on a log grid, and 0 .. 24 in steps of 0.043, both signs.
std::vector<double> whole_range() {
  std::vector<double> x;
  for (int i = 0; i <= 340; ++i) x.push_back(std::pow(10.0, -38 + 0.2 * i));
  for (int i = 1; i <= 560; ++i) x.push_back(0.043 * i);
  const std::size_t positive = x.size();
  for (std::size_t i = 0; i < positive; ++i) x.push_back(-x[i]);
  return x;
}

/// The smooth rectifiers have a minimum between -0.7 and -1.4: phi' crosses 0 there and only its absolute
/// error means anything. phi' is of size 0.1 on both sides.
double floor_of_slope(const Activation& phi, double x) {
  const bool has_minimum = phi.name() == "gelu" || phi.name() == "gelu_tanh" || phi.name() == "silu" ||
                           phi.name() == "mish" || phi.name() == "hard_swish";
  return has_minimum && x < -0.3 && x > -2 ? 0.1 : 0;
}

/// Whether the true result has an exponent that fits; within 2 of the border either outcome is right.
bool certainly_fits(const Exact& y) { return y != 0 && abs(ilogb(y)) < largest_exponent - 2; }
bool certainly_too_small(const Exact& y) { return y == 0 || ilogb(y) < -largest_exponent - 2; }

class EveryActivation : public testing::TestWithParam<std::string_view> {
 protected:
  const Activation phi = Activation::named(GetParam());

  template <class Real>
  bool phase_is_lost(Real x) const {
    return phi.name() == "sin" && std::abs(x) > std::ldexp(1.0, std::numeric_limits<Real>::digits);
  }
  /// 0 where the formula says so, as opposed to 0 where it underflows.
  bool zero_on_purpose(double x) const {
    return (phi.name() == "relu" && x <= 0) || (phi.name() == "hard_swish" && x <= -3) ||
           (phi.name() == "hard_tanh" && std::abs(x) >= 1);
  }

  template <class Real>
  void expect_values(double tolerance) const;
  template <class Real>
  void expect_slopes(double tolerance) const;
};

template <class Real>
void EveryActivation::expect_values(double tolerance) const {
  double worst = 0, at = 0;
  for (const double grid : whole_range()) {
    const Real x = Real(grid);
    if (phase_is_lost(x)) continue;
    const Outcome<Real> h = activated(phi, arriving<Real>({x}));
    const Exact truth = reference::value(phi.name(), Exact(x), phi.parameter());
    if (h.code == FailureCode::exponent_overflow) {
      EXPECT_FALSE(certainly_fits(truth)) << x;
      continue;
    }
    ASSERT_EQ(h.code, FailureCode::none) << x;
    if (zero_on_purpose(x) && truth == 0) {
      EXPECT_EQ(h.sample[0], 0) << x;
      continue;
    }
    EXPECT_FALSE(certainly_too_small(truth)) << x;
    const double error = relative_error(h.sample[0], truth, 0);
    if (error > worst) worst = error, at = x;
  }
  EXPECT_LE(worst, tolerance) << "at " << at;
}

template <class Real>
void EveryActivation::expect_slopes(double tolerance) const {
  double worst = 0, at = 0;
  for (const double grid : whole_range()) {
    const Real x = Real(grid);
    if (phase_is_lost(x)) continue;
    const Outcome<Real> d = multiplied(phi, arriving<Real>({x}), Sample<Real>({Real(1)}));
    const Exact truth = reference::slope(phi.name(), Exact(x), phi.parameter());
    if (d.code == FailureCode::exponent_overflow) {
      EXPECT_FALSE(certainly_fits(truth)) << x;
      continue;
    }
    ASSERT_EQ(d.code, FailureCode::none) << x;
    if (zero_on_purpose(x) && truth == 0) {
      EXPECT_EQ(d.sample[0], 0) << x;
      continue;
    }
    EXPECT_FALSE(certainly_too_small(truth)) << x;
    const double error = relative_error(d.sample[0], truth, floor_of_slope(phi, x));
    if (error > worst) worst = error, at = x;
  }
  EXPECT_LE(worst, tolerance) << "at " << at;
}

// Four units in the last place, and one more rounding where an exponential is corrected or a factor comes
// after it.
TEST_P(EveryActivation, HasExactValuesFromTheSmallestToTheLargestArgument) {
  expect_values<float>(4 * double(std::numeric_limits<float>::epsilon()));
  expect_values<double>(4 * std::numeric_limits<double>::epsilon());
}

TEST_P(EveryActivation, HasExactSlopesFromTheSmallestToTheLargestArgument) {
  expect_slopes<float>(1e-6);
  expect_slopes<double>(1e-13);
}

TEST_P(EveryActivation, HasASlopeThatIsTheDerivativeOfItsValue) {
  const double step =
      1e-5;  // truncation: 1e-10/6 times a third derivative below 6; rounding: 4 ulp of 12 over 2e-5
  for (double x = -12.0371; x < 12; x += 0.0917) {
    const double difference = (phi.value(x + step) - phi.value(x - step)) / (2 * step);
    EXPECT_NEAR(phi.slope(x), difference, 5e-10) << x;
  }
}

TEST_P(EveryActivation, KnowsItsLargestSlopeAndWhereItIsNotSmooth) {
  double largest = 0;
  for (double x = -20; x <= 20; x += 1.0 / 1024) largest = std::max(largest, std::abs(phi.slope(x)));
  for (const double kink : phi.kinks()) {
    largest = std::max({largest, std::abs(phi.slope(kink + 1e-9)), std::abs(phi.slope(kink - 1e-9))});
  }

  EXPECT_LE(largest, phi.sup_slope() * (1 + 1e-14));
  EXPECT_GE(largest, phi.sup_slope() * (1 - 1e-6));  // the grid misses a maximum by (1/2048)^2 at most
}

TEST_P(EveryActivation, IsWhatItsFlagsSay) {
  EXPECT_EQ(phi.zero_at_zero(), phi.value(0) == 0);
  EXPECT_EQ(phi.bounded(), std::abs(phi.value(1e6)) < 2 && std::abs(phi.value(-1e6)) < 2);
  EXPECT_EQ(phi.positively_homogeneous(),
            phi.value(-6) == 4 * phi.value(-1.5) && phi.value(6) == 4 * phi.value(1.5));
  EXPECT_EQ(phi.slope_has_zeros(), phi.slope(-4) == 0 || phi.slope(4) == 0);
}

TEST_P(EveryActivation, LeavesThePaddingZero) {
  for (const int width : {1, 15, 16, 17, 63, 64, 65, 130}) {
    const Sample<float> z(std::vector<float>(std::size_t(width), -0.5f));

    const Outcome<float> h = activated(phi, z);
    const Outcome<float> d = multiplied(phi, z, z);

    for (int j = width; j < z.row.cols(); ++j) {
      EXPECT_EQ(h.sample.row(0, j), 0) << width << ' ' << j;
      EXPECT_EQ(d.sample.row(0, j), 0) << width << ' ' << j;
    }
  }
}

TEST_P(EveryActivation, GivesAUnitTheSameBitsWhereverItStands) {
  std::vector<float> units;
  for (int j = 0; j < 96; ++j) units.push_back(-4.0f + 0.083f * float(j));
  const std::vector<float> reversed(units.rbegin(), units.rend());

  const Outcome<float> h = activated(phi, Sample<float>(units)), g = activated(phi, Sample<float>(reversed));
  const Outcome<float> d = multiplied(phi, Sample<float>(units), Sample<float>(reversed));
  const Outcome<float> c = multiplied(phi, Sample<float>(reversed), Sample<float>(units));

  for (int j = 0; j < 96; ++j) {
    EXPECT_EQ(h.sample.row(0, j), g.sample.row(0, 95 - j)) << j;
    EXPECT_EQ(d.sample.row(0, j), c.sample.row(0, 95 - j)) << j;
  }
}

TEST_P(EveryActivation, IsExactOnBothSidesOfTheExponentsWhereTheRulesChange) {
  const std::vector<double> v{1.25, -1.75, 0.75, -0.0625};
  for (const int exponent : {-90, -61, -60, -59, 59, 60, 61, 90}) {
    const auto truth = [&](auto formula, std::size_t j) {
      return formula(phi.name(), ldexp(Exact(v[j]), exponent), phi.parameter());
    };
    if (phase_is_lost(std::ldexp(1.75, exponent))) continue;

    const Outcome<double> h = activated(phi, Sample<double>(v, exponent));
    const Outcome<double> d = multiplied(phi, Sample<double>(v, exponent), Sample<double>({1, 1, 1, 1}));

    ASSERT_EQ(h.code, FailureCode::none) << exponent;
    for (std::size_t j = 0; j < v.size(); ++j) {
      // Tails far below the sample's largest may be stored as 0.
      const Exact lost = ldexp(abs(truth(reference::value, 0)), -1000);
      EXPECT_LE(abs(h.sample[int(j)] - truth(reference::value, j)),
                1e-15 * abs(truth(reference::value, j)) + lost)
          << exponent << ' ' << j;
    }
    if (d.code == FailureCode::exponent_overflow) continue;  // every unit saturated beyond 2^-2^30
    EXPECT_LE(relative_error(d.sample[0], truth(reference::slope, 0), 0), 1e-13) << exponent;
  }
}

TEST_P(EveryActivation, SeesANonFiniteValue) {
  const Sample<float> bad({1.0f, 2.0f, std::numeric_limits<float>::quiet_NaN(), 0.5f});
  const Sample<float> good({0.5f, 0.5f, 0.5f, 0.5f});

  EXPECT_EQ(activated(phi, bad).code, FailureCode::non_finite);
  EXPECT_EQ(multiplied(phi, good, bad).code, FailureCode::non_finite);
}

TEST_P(EveryActivation, CountsItsSaturatedUnits) {
  std::vector<float> units;
  std::int64_t expected = 0;
  for (int j = 0; j < 333; ++j) {
    const float x = -8.3f + 0.05f * float(j);
    units.push_back(x);
    expected += std::abs(phi.slope(double(x))) < 0.01 * phi.sup_slope();
  }
  const Sample<float> z(units);

  EXPECT_EQ(count_saturated<float>(phi, z.row.row(0), 0, z.width), expected);
  EXPECT_EQ(multiplied(phi, z, z).counts.saturated, expected);
}

/// Units in the last place of float32 at `truth`.
double ulps(float value, double truth) {
  return std::abs(double(value) - truth) / std::ldexp(1.0, std::ilogb(truth) - 23);
}

/// 1024 float32 numbers between two neighbouring eighths of a binade, of one sign: a row in which no unit is
/// lost beside a larger one.
std::vector<float> eighth_of_binade(int binade, int eighth, float sign) {
  std::vector<float> units;
  for (int i = 0; i < 1024; ++i) {
    // An odd step through the 2^20 numbers there, so that all low bits occur.
    const auto at = std::uint32_t(i) * 1021u;
    units.push_back(sign * std::ldexp(1 + (float(eighth) + float(at) * 0x1p-20f) / 8, binade));
  }
  return units;
}

/// The largest error of a row in units of the last place, and where. Elements a factor of 2^100 below the
/// largest may be stored with fewer digits.
template <class Truth>
std::pair<double, float> worst_ulps(const Outcome<float>& got, const std::vector<float>& units, Truth truth) {
  std::pair<double, float> worst{0, 0};
  const double unit = std::ldexp(1.0, got.sample.exponent), visible = 0x1p-100 * unit;
  for (std::size_t j = 0; j < units.size(); ++j) {
    const auto [exact, floor] = truth(units[j]);
    const double size = std::max(std::abs(exact), floor);
    if (size < visible || size < std::numeric_limits<double>::min()) continue;
    const double error = std::abs(got.sample.row(0, int(j)) * unit - exact);
    const double ulps = error / std::ldexp(1.0, std::ilogb(size) - 23);
    if (ulps > worst.first) worst = {ulps, units[j]};
  }
  return worst;
}

// Against the formulas in float64, which the 100 digits above have checked: 1024 numbers in every eighth of
// every binade from 2^-40 to 2^7.
TEST_P(EveryActivation, IsWithinFourUnitsInTheLastPlaceOfFloat32EverywhereAndSoIsItsSlope) {
  std::pair<double, float> value{0, 0}, slope{0, 0};
  for (int binade = -40; binade < 7; ++binade) {
    for (int eighth = 0; eighth < 8; ++eighth) {
      for (const float sign : {1.0f, -1.0f}) {
        const std::vector<float> units = eighth_of_binade(binade, eighth, sign);
        const Sample<float> z(units), ones(std::vector<float>(units.size(), 1.0f));

        const Outcome<float> h = activated(phi, z), d = multiplied(phi, z, ones);

        if (h.code == FailureCode::none) {
          value = std::max(value, worst_ulps(h, units, [&](float x) {
                             return std::pair{phi.value(double(x)), 0.0};
                           }));
        }
        if (d.code == FailureCode::none) {
          slope = std::max(slope, worst_ulps(d, units, [&](float x) {
                             return std::pair{phi.slope(double(x)), floor_of_slope(phi, x)};
                           }));
        }
      }
    }
  }
  EXPECT_LE(value.first, 4) << "at " << value.second;
  EXPECT_LE(slope.first, 4) << "at " << slope.second;
  RecordProperty("value_ulps", fmt::format("{:.2f}", value.first));
  RecordProperty("slope_ulps", fmt::format("{:.2f}", slope.first));
}

// Own polynomials stand behind these two, so every binade is looked at, in steps of 2^-10 of it.
TEST(Tanh, IsWithinTwoUnitsInTheLastPlaceAndItsSlopeWithinThree) {
  const Activation phi = Activation::named("tanh");
  std::vector<float> units;
  for (float x = 0x1p-14f; x < 32; x *= 1 + 0x1p-10f) units.push_back(x);
  const Sample<float> z(units);

  const Outcome<float> h = activated(phi, z);
  const Outcome<float> d = multiplied(phi, z, Sample<float>(std::vector<float>(units.size(), 1.0f)));

  ASSERT_EQ(h.sample.exponent, 0);
  ASSERT_EQ(d.sample.exponent, 0);
  for (int j = 0; j < z.width; ++j) {
    const double x = units[std::size_t(j)], t = std::exp(-2 * x);
    EXPECT_LE(ulps(h.sample.row(0, j), std::tanh(x)), 2) << x;
    EXPECT_LE(ulps(d.sample.row(0, j), 4 * t / ((1 + t) * (1 + t))), 3) << x;
  }
}

std::vector<std::string_view> all_names() {
  std::vector<std::string_view> names;
  for (const ActivationRow& row : activations()) names.push_back(row.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryActivation, testing::ValuesIn(all_names()), name_of);

}  // namespace
}  // namespace gradflow::nn
