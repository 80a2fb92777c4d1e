#include "sweep/example.hpp"

namespace gradflow::sweep {
namespace {

using example::sweep_of;

std::uint64_t hash_of(const std::string& text) { return sweep_of(text).point(0).hash(); }

// The numbers are frozen: result files keep them for ever. They come from an xxh64 written independently in
// another language, over the lines that stand beside them.

TEST(PointHash, OfDefaultsIsThatOfNoText) { EXPECT_EQ(hash_of(""), 0xef46db3751d8e999U); }

TEST(PointHash, OfNumbersIsFrozen) {
  // init.sigma_w=1.5, network.depth=200, seed=7
  EXPECT_EQ(hash_of("seed = 7\n[network]\ndepth = 200\n[init]\nsigma_w = 1.5\n"), 0x3182f531d7ad46a1U);
}

TEST(PointHash, OfEveryTypeIsFrozen) {
  // data.path="a\"b\\c\x0a", init.sigma_w=0.10000000000000001,
  // network.activation="leaky_relu"{slope=0.1...01}, network.branch_scale="1/sqrt(depth)",
  // network.widths=[50,200], run.checks=true, seed=-1
  const auto hash = hash_of(
      "seed = '18446744073709551615'\n"
      "[data]\npath = \"a\\\"b\\\\c\\n\"\n"
      "[init]\nsigma_w = 0.1\n"
      "[network]\nactivation = { name = 'leaky_relu', slope = 0.1 }\nbranch_scale = '1/sqrt(depth)'\n"
      "widths = [50, 200]\n"
      "[run]\nchecks = true\n");

  EXPECT_EQ(hash, 0x2f132b3d6415449cU);
}

TEST(PointHash, IgnoresOrderTitleRunTimeOptionsAndWrittenDefaults) {
  const auto hash = hash_of(
      "title = 'x'\n[init]\nsigma_w = 1.5\nsigma_b = 0\n"
      "[run]\nthreads = 3\n[network]\ndepth = 200\nactivation.name = 'tanh'\n[sweep]\nseed = [7]\n");

  EXPECT_EQ(hash, 0x3182f531d7ad46a1U);
}

TEST(PointHash, IsTheSameForASweptAndAFixedValue) {
  const Sweep sweep = sweep_of(
      "[sweep]\ninit.sigma_w = { linspace = [0.5, 1.5, 3] }\nseed = { range = [0, 8] }\nnetwork.depth = "
      "[200]\n");

  EXPECT_EQ(sweep.point(2 * 8 + 7).hash(), 0x3182f531d7ad46a1U);
  EXPECT_EQ(sweep.point(1 * 8 + 0).hash(), hash_of("[network]\ndepth = 200\n"));
}

TEST(PointHash, KeepsItsValueWhenTheSchemaGrows) {
  std::vector<Key> keys = example::schema().keys();
  keys.push_back(
      {.name = "network.momentum", .type = Type::real, .fallback = 0.9, .doc = {}, .complaint = {}});

  const Sweep grown =
      Sweep::parse("seed = 7\n[network]\ndepth = 200\n[init]\nsigma_w = 1.5\n", "x.toml", Schema(keys));

  EXPECT_EQ(grown.point(0).hash(), 0x3182f531d7ad46a1U);
}

TEST(PointHash, LeavesOutParametersThatEqualTheirDefault) {
  const auto hash = hash_of("[network]\nactivation = 'leaky_relu'\n");

  EXPECT_EQ(hash_of("[network]\nactivation = { name = 'leaky_relu', slope = 0.01 }\n"), hash);
  EXPECT_EQ(hash_of("[network]\nactivation = { name = 'leaky_relu', mode = 'exact', slope = 0.01 }\n"), hash);
  EXPECT_NE(hash_of("[network]\nactivation = { name = 'leaky_relu', slope = 0.02 }\n"), hash);
  EXPECT_EQ(hash, 0x788808d2289cadffU);  // network.activation="leaky_relu"
}

TEST(PointHash, IsThatOfTheSpelling) {
  std::vector<Key> keys = example::schema().keys();
  keys.push_back({.name = "network.square",  // 20 says depth = 20 and width = 20
                  .type = Type::integer,
                  .fallback = {},
                  .doc = {},
                  .complaint = {},
                  .spelling = [](const Value& side) {
                    return std::vector<Assignment>{{"network.width", side}, {"network.depth", side}};
                  }});
  const auto sweep_with_squares = [&](const std::string& text) {
    return Sweep::parse(text, "x.toml", Schema(keys));
  };

  for (const std::string side : {"20", "10"}) {  // 10 is the default of the depth, and of no width
    const auto hash = hash_of("[network]\ndepth = " + side + "\nwidth = " + side + "\n");
    EXPECT_EQ(sweep_with_squares("[network]\nsquare = " + side + "\n").point(0).hash(), hash);
    EXPECT_EQ(sweep_with_squares("[sweep]\nnetwork.square = [3, " + side + "]\n").point(1).hash(), hash);
  }
}

TEST(PointHash, TellsNeighbouringRealsApart) {
  EXPECT_NE(hash_of("[init]\nsigma_w = 0.1\n"), hash_of("[init]\nsigma_w = 0.10000000000000002\n"));
}

TEST(PointHash, TellsATextFromANumber) {
  EXPECT_NE(hash_of("[jacobian]\ndirections = 3\n"), hash_of("[jacobian]\ndirections = '3'\n"));
}

}  // namespace
}  // namespace gradflow::sweep
