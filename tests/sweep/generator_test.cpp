#include <cmath>

#include <gmock/gmock.h>

#include "sweep/example.hpp"

namespace gradflow::sweep {
namespace {

using example::column;
using testing::ElementsAre;

/// What a generator makes for a key, without the key's complaints: sigma_w here may be negative.
std::vector<Value> made(const std::string& key, Type type, const std::string& generator) {
  const Schema schema({{.name = key, .type = type, .fallback = {}, .doc = {}, .complaint = {}}});
  return Sweep::parse("[sweep]\n" + key + " = { " + generator + " }\n", "x.toml", schema)
      .axes()[0]
      .columns[0]
      .values;
}

std::vector<double> reals(const std::string& generator) {
  std::vector<double> numbers;
  for (const Value& value : made("x", Type::real, generator)) numbers.push_back(std::get<double>(value));
  return numbers;
}

std::vector<std::int64_t> integers(const std::string& generator) {
  std::vector<std::int64_t> numbers;
  for (const Value& value : made("n", Type::integer, generator))
    numbers.push_back(std::get<std::int64_t>(value));
  return numbers;
}

// Exact equality below: the numbers are the doubles that the same decimals in a file would give.

TEST(Linspace, IncludesBothEnds) {
  EXPECT_THAT(reals("linspace = [0.5, 3.0, 6]"), ElementsAre(0.5, 1.0, 1.5, 2.0, 2.5, 3.0));
  EXPECT_THAT(reals("linspace = [1, 0, 3]"), ElementsAre(1.0, 0.5, 0.0));
}

TEST(Linspace, MakesDecimalsAndATrueZero) {
  EXPECT_THAT(reals("linspace = [-0.3, 0.6, 10]"),
              ElementsAre(-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6));
}

TEST(Linspace, RoundsToTwelveSignificantDigits) {
  EXPECT_THAT(reals("linspace = [0, 2, 4]"), ElementsAre(0.0, 0.666666666667, 1.33333333333, 2.0));
  EXPECT_THAT(reals("linspace = [1e-20, 3.14159265358979, 2]"), ElementsAre(1e-20, 3.14159265359));
}

TEST(Linspace, OfARefinedGridContainsTheCoarseOne) {
  const std::vector<double> coarse = reals("linspace = [0.7, 2.9, 12]");

  EXPECT_THAT(reals("linspace = [0.7, 2.9, 34]"), testing::IsSupersetOf(coarse));
}

TEST(Linspace, RoundsToTheNearestIntegerForIntegerKeys) {
  EXPECT_THAT(integers("linspace = [1, 10, 4]"), ElementsAre(1, 4, 7, 10));
  EXPECT_THAT(integers("linspace = [1, 2000, 3]"), ElementsAre(1, 1001, 2000));
}

TEST(Logspace, HasBoundsThatAreValuesNotExponents) {
  EXPECT_THAT(reals("logspace = [1e-3, 10, 5]"), ElementsAre(0.001, 0.01, 0.1, 1.0, 10.0));
  EXPECT_THAT(reals("logspace = [2, 32, 5]"), ElementsAre(2.0, 4.0, 8.0, 16.0, 32.0));
  EXPECT_THAT(integers("logspace = [1, 1000, 7]"), ElementsAre(1, 3, 10, 32, 100, 316, 1000));
}

TEST(Range, ExcludesItsEnd) {
  EXPECT_THAT(integers("range = [0, 4]"), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(integers("range = [10, 41, 10]"), ElementsAre(10, 20, 30, 40));
  EXPECT_THAT(integers("range = [3, 0, -1]"), ElementsAre(3, 2, 1));
  EXPECT_THAT(integers("range = [9223372036854775806, 9223372036854775807]"),
              ElementsAre(9223372036854775806));
  EXPECT_THAT(integers("range = [9223372036854775805, 9223372036854775807, 5]"),
              ElementsAre(9223372036854775805));
}

TEST(Range, OfRealsEndsWhereItsDecimalsEnd) {
  // In binary 0.1 + 2 * 0.1 exceeds 0.3: without rounding the end would come and go with the last bit.
  EXPECT_THAT(reals("range = [0.1, 0.3, 0.1]"), ElementsAre(0.1, 0.2));
  EXPECT_THAT(reals("range = [-0.3, 0.3, 0.1]"), ElementsAre(-0.3, -0.2, -0.1, 0.0, 0.1, 0.2));
  EXPECT_THAT(reals("range = [0, 3]"), ElementsAre(0.0, 1.0, 2.0));
}

TEST(Random, IsAFrozenFunctionOfItsSeed) {
  // Philox4x32-10 written independently in another language.
  EXPECT_THAT(reals("random = { uniform = [2, 5], n = 4, seed = 1 }"),
              ElementsAre(4.68405414901, 4.62233580556, 3.66950069921, 2.10963142996));
  EXPECT_THAT(reals("random = { log_uniform = [0.01, 100], n = 3, seed = '18446744073709551615' }"),
              ElementsAre(0.0215018326459, 0.150735336702, 0.547179871625));
}

TEST(Random, KeepsItsFirstNumbersWhenThereAreMore) {
  std::vector<double> more = reals("random = { uniform = [0, 1], n = 100, seed = 3 }");
  const std::vector<double> few = reals("random = { uniform = [0, 1], n = 10, seed = 3 }");

  more.resize(10);
  EXPECT_EQ(more, few);
}

TEST(Random, FillsItsIntervalEvenly) {
  const std::vector<double> numbers = reals("random = { uniform = [-1, 3], n = 10000, seed = 7 }");

  double sum = 0;
  for (const double number : numbers) {
    EXPECT_TRUE(number >= -1 && number <= 3);
    sum += number;
  }
  const double standard_error = 4 / std::sqrt(12.0) / std::sqrt(10000.0);  // of the mean of U(-1, 3)
  EXPECT_NEAR(sum / 10000, 1.0, 4 * standard_error);
}

TEST(Seeds, ComeFromRanges) {
  EXPECT_THAT(column(example::sweep_of("[sweep]\nseed = { range = [0, 3] }\n"), "seed"),
              ElementsAre("0", "1", "2"));
}

class NotAGenerator : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(NotAGenerator, SaysWhatItExpected) {
  const auto [text, message] = GetParam();

  const std::string refusal = example::refusal_of(std::string("[sweep]\n") + text + "\n");

  EXPECT_EQ(refusal, message);
}

constexpr auto linspace_form =
    "x.toml:2:29: init.sigma_w: expected linspace = [first, last, number of values from 2 to 1000000]";
constexpr auto random_form =
    "x.toml:2:27: init.sigma_w: expected random = { uniform = [low, high], n = number of values from 1 to "
    "1000000, "
    "seed = integer }, or log_uniform with bounds above 0";

INSTANTIATE_TEST_SUITE_P(
    Arguments, NotAGenerator,
    testing::Values(
        std::pair("init.sigma_w = { linspace = [1, 2] }", linspace_form),
        std::pair("init.sigma_w = { linspace = [1, 2, 1] }", linspace_form),
        std::pair("init.sigma_w = { linspace = [1, 2, 2.0] }", linspace_form),
        std::pair("init.sigma_w = { linspace = [1, nan, 2] }", linspace_form),
        std::pair("init.sigma_w = { linspace = [1, 2, 1000001] }", linspace_form),
        std::pair("init.sigma_w = { linspace = 3 }", linspace_form),
        std::pair("init.sigma_w = { logspace = [0, 2, 3] }",
                  "x.toml:2:29: init.sigma_w: expected logspace = [first, last, number of values from 2 to "
                  "1000000], "
                  "bounds above 0"),
        std::pair(
            "seed = { range = [1, 2, 0] }",
            "x.toml:2:18: seed: expected range = [start, end (excluded)] or [start, end, step], step not 0"),
        std::pair("seed = { range = [3, 3] }",
                  "x.toml:2:8: seed: the range is empty; expected at least one value"),
        std::pair("seed = { range = [0, 1000001] }",
                  "x.toml:2:8: seed: expected at most 1000000 values on one axis"),
        std::pair("init.sigma_w = { random = { uniform = [1, 1], n = 2, seed = 1 } }", random_form),
        std::pair("init.sigma_w = { random = { uniform = [1, 2], n = 2 } }", random_form),
        std::pair("init.sigma_w = { random = { uniform = [1, 2], n = 2, seed = 1.5 } }", random_form),
        std::pair("init.sigma_w = { random = { log_uniform = [0, 2], n = 2, seed = 1 } }", random_form),
        std::pair("network.activation = { range = [0, 3] }",
                  "x.toml:2:22: network.activation: read range, which makes numbers; expected an array of "
                  "values, each "
                  "a name in quotes or { name = \"...\", parameter = value }"),
        std::pair("seed = { linspace = [0, 1e30, 3] }",
                  "x.toml:2:8: seed: made 5e+29; expected an integer below 2^63"),
        std::pair("init.sigma_w = { linspace = [-1, 1, 3] }",
                  "x.toml:2:16: init.sigma_w: read -1.0; expected at least 0"),
        std::pair("network.depth = { linspace = [1, 2, 3] }",
                  "x.toml:2:17: network.depth: value 3 of the axis repeats value 2: 2; expected different "
                  "values")));

}  // namespace
}  // namespace gradflow::sweep
