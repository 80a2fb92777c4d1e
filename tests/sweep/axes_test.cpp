#include <gmock/gmock.h>

#include "sweep/example.hpp"

namespace gradflow::sweep {
namespace {

using example::column;
using example::sweep_of;
using testing::ElementsAre;

std::vector<std::string> keys_of(const Sweep& sweep) {
  std::vector<std::string> keys;
  for (const Axis& axis : sweep.axes()) {
    for (const Column& swept : axis.columns) keys.push_back(swept.key);
  }
  return keys;
}

TEST(Axes, WithoutThemASweepIsOnePointOfFixedValuesAndDefaults) {
  const Sweep sweep = sweep_of("title = 'one'\n[network]\ndepth = 3\n");

  ASSERT_EQ(sweep.size(), 1U);
  EXPECT_EQ(sweep.title(), "one");
  EXPECT_EQ(sweep.point(0).integer("network.depth"), 3);
  EXPECT_EQ(sweep.point(0).real("init.sigma_w"), 1.0);
  EXPECT_FALSE(sweep.point(0).has("network.width"));
}

TEST(Axes, FormTheirProductInFileOrderWithTheLastFastest) {
  const Sweep sweep = sweep_of(
      "[sweep]\n"
      "network.width = [8, 16]\n"  // TOML libraries sort keys: alphabetical order would put init first
      "init.sigma_w = [1, 2, 3]\n");

  EXPECT_THAT(keys_of(sweep), ElementsAre("network.width", "init.sigma_w"));
  EXPECT_THAT(column(sweep, "network.width"), ElementsAre("8", "8", "8", "16", "16", "16"));
  EXPECT_THAT(column(sweep, "init.sigma_w"), ElementsAre("1.0", "2.0", "3.0", "1.0", "2.0", "3.0"));
}

TEST(Axes, KeepFileOrderAcrossDottedKeysSubTablesAndZips) {
  const Sweep sweep = sweep_of(
      "[[zip]]\nseed = [1, 2]\n[zip.network]\ndepth = [3, 4]\n"
      "[sweep]\nnetwork.width = [8]\ninit = { sigma_w = [1] }\nnetwork.activation = ['erf']\n"
      "[sweep.data]\nsource = ['gaussian']\n"
      "[[zip]]\ninit.sigma_b = [0, 1]\n");

  EXPECT_THAT(keys_of(sweep), ElementsAre("seed", "network.depth", "network.width", "init.sigma_w",
                                          "network.activation", "data.source", "init.sigma_b"));
}

TEST(Axes, KeepFileOrderWithinOneLine) {
  const Sweep sweep =
      sweep_of("sweep = { seed = [1], network = { depth = [2] }, init = { sigma_b = [3] } }\n");

  EXPECT_THAT(keys_of(sweep), ElementsAre("seed", "network.depth", "init.sigma_b"));
}

TEST(Axes, OfOneZipAdvanceTogether) {
  const Sweep sweep =
      sweep_of("[[zip]]\nnetwork.depth = [5, 6]\ninit.sigma_w = [1, 1]\n[sweep]\nseed = [8, 9]\n");

  ASSERT_EQ(sweep.size(), 4U);
  EXPECT_THAT(column(sweep, "network.depth"), ElementsAre("5", "5", "6", "6"));
  EXPECT_THAT(column(sweep, "init.sigma_w"), ElementsAre("1.0", "1.0", "1.0", "1.0"));
  EXPECT_THAT(column(sweep, "seed"), ElementsAre("8", "9", "8", "9"));
}

TEST(Axes, WinOverTheFixedValueOfTheSameKey) {
  const Sweep sweep = sweep_of("[init]\nsigma_w = 7\n[sweep]\ninit.sigma_w = [1, 2]\n");

  EXPECT_THAT(column(sweep, "init.sigma_w"), ElementsAre("1.0", "2.0"));
  EXPECT_EQ(sweep.fixed("init.sigma_w"), nullptr);
  EXPECT_EQ(*sweep.fixed("init.sigma_b"), Value(0.0));
  EXPECT_EQ(sweep.fixed("network.width"), nullptr);
}

TEST(Axes, HoldValuesOfEveryType) {
  const Sweep sweep = sweep_of(
      "[sweep]\n"
      "network.activation = ['tanh', { name = 'leaky_relu', slope = 0.1, mode = 'a' }]\n"
      "network.widths = [[4, 8], [2]]\n"
      "network.branch_scale = [2, '1/sqrt(depth)']\n"
      "jacobian.directions = ['all', 3]\n"
      "run.checks = [true, false]\n"
      "seed = ['18446744073709551615', 5]\n");

  const SweepPoint last = sweep.point(sweep.size() - 1);
  EXPECT_EQ(last.name("network.activation").name, "leaky_relu");
  EXPECT_EQ(last.name("network.activation").real("slope", 0.01), 0.1);
  EXPECT_EQ(last.name("network.activation").text("mode", ""), "a");
  EXPECT_EQ(last.name("network.activation").real("shift", 0.5), 0.5);
  EXPECT_THAT(last.integers("network.widths"), ElementsAre(2));
  EXPECT_EQ(last.text("network.branch_scale"), "1/sqrt(depth)");
  EXPECT_EQ(last.integer("jacobian.directions"), 3);
  EXPECT_FALSE(last.boolean("run.checks"));
  EXPECT_EQ(sweep.point(0).real("network.branch_scale"), 2.0);
  EXPECT_EQ(sweep.point(0).seed("seed"), 18446744073709551615U);
}

TEST(Points, AreMadeOneByOneOfATrillion) {
  const Sweep sweep = sweep_of(
      "[sweep]\n"
      "init.sigma_w = { linspace = [0, 1, 10001] }\n"
      "init.sigma_b = { linspace = [0, 1, 10001] }\n"
      "seed = { range = [0, 10000] }\n");

  // The digits of the index are the positions on the axes.
  const SweepPoint point = sweep.point(2345 + 10000ULL * (678 + 10001ULL * 9012));
  EXPECT_EQ(sweep.size(), 10001ULL * 10001 * 10000);
  EXPECT_EQ(point.seed("seed"), 2345U);
  EXPECT_EQ(point.real("init.sigma_b"), 0.0678);
  EXPECT_EQ(point.real("init.sigma_w"), 0.9012);
}

TEST(Points, OutliveTheirSweep) {
  const SweepPoint point = sweep_of("[sweep]\nseed = [4, 5]\n").point(1);

  EXPECT_EQ(point.seed("seed"), 5U);
}

TEST(Points, NameThePlaceOfTheirValues) {
  const Sweep sweep =
      sweep_of("[network]\ndepth = 20\n[sweep]\nseed = [4, 55]\ninit.sigma_w = { range = [1, 3] }\n");

  const SweepPoint point = sweep.point(3);
  EXPECT_EQ(text_of(point.place_of("network.depth")), "x.toml:2:9");
  EXPECT_EQ(text_of(point.place_of("seed")), "x.toml:4:12");
  EXPECT_EQ(text_of(point.place_of("init.sigma_w")), "x.toml:5:16");
  EXPECT_EQ(text_of(point.place_of("init.sigma_b")), "x.toml");
  EXPECT_STREQ(point.error("seed", "too odd").what(), "x.toml:4:12: seed: too odd");
}

TEST(CoordinateNames, AreTheLastPartWhereThatIsUnique) {
  const Schema schema = example::schema();

  EXPECT_EQ(coordinate_name(schema, "seed"), "seed");
  EXPECT_EQ(coordinate_name(schema, "init.sigma_w"), "sigma_w");
  EXPECT_EQ(coordinate_name(schema, "data.source"), "data_source");
  EXPECT_EQ(coordinate_name(schema, "backward.source"), "backward_source");
  EXPECT_EQ(coordinate_name(schema, "network.activation", "slope"), "activation_slope");
}

TEST(Schema, RefusesKeysThatContradictEachOther) {
  const auto schema_of = [](std::vector<Key> keys) { return Schema(std::move(keys)); };
  const Key real{.name = "a.x", .type = Type::real, .fallback = {}, .doc = {}, .complaint = {}};
  Key twice = real, inside = real, mistyped = real, unhashed = real;
  inside.name = "a.x.y";
  mistyped.fallback = std::int64_t{1};
  unhashed.enters_hash = false;

  EXPECT_THROW(schema_of({real, twice}), BrokenPromise);
  EXPECT_THROW(schema_of({real, inside}), BrokenPromise);
  EXPECT_THROW(schema_of({mistyped}), BrokenPromise);
  EXPECT_THROW(schema_of({unhashed}), BrokenPromise);
}

}  // namespace
}  // namespace gradflow::sweep
