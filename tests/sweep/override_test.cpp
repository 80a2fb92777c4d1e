#include <gmock/gmock.h>

#include "sweep/example.hpp"

namespace gradflow::sweep {
namespace {

using example::column;
using example::refusal_of;
using example::sweep_of;
using testing::ElementsAre;

TEST(Set, ReplacesAFixedValue) {
  const SweepPoint point = sweep_of("[network]\ndepth = 3\n", {"network.depth=4", "init.sigma_w=2"}).point(0);

  EXPECT_EQ(point.integer("network.depth"), 4);
  EXPECT_EQ(point.real("init.sigma_w"), 2.0);
  EXPECT_EQ(text_of(point.place_of("network.depth")), "--set network.depth=4");
}

TEST(Set, ReplacesAnAxisByAValue) {
  const Sweep sweep = sweep_of("[sweep]\nseed = [1, 2]\nnetwork.depth = [3, 4]\n", {"seed=9"});

  EXPECT_EQ(sweep.axes().size(), 1U);
  EXPECT_THAT(column(sweep, "seed"), ElementsAre("9", "9"));
}

TEST(Set, ReplacesAnAxisAtItsPlace) {
  const Sweep sweep =
      sweep_of("[sweep]\nseed = [1, 2]\nnetwork.depth = [3, 4]\n", {"seed={ range = [7, 9] }"});

  EXPECT_THAT(column(sweep, "seed"), ElementsAre("7", "7", "8", "8"));
}

TEST(Set, AddsAnAxisBehindTheLast) {
  const Sweep sweep = sweep_of("[sweep]\nseed = [1, 2]\n", {"network.depth=[3, 4]"});

  EXPECT_THAT(column(sweep, "network.depth"), ElementsAre("3", "4", "3", "4"));
}

TEST(Set, TakesAKeyOutOfItsZip) {
  const std::string zip = "[[zip]]\nseed = [1, 2]\nnetwork.depth = [3, 4]\n";

  EXPECT_THAT(column(sweep_of(zip, {"seed=5"}), "network.depth"), ElementsAre("3", "4"));
  EXPECT_EQ(sweep_of(zip, {"seed=5", "network.depth=6"}).size(), 1U);
  EXPECT_EQ(refusal_of(zip, {"seed=[1, 2, 3]"}),
            "x.toml:3:17: network.depth: has 2 values, but seed (--set seed=[1, 2, 3]) has 3; the keys of "
            "one [[zip]] "
            "advance together");
}

TEST(Set, UnderstandsEveryWayToWriteAValue) {
  const SweepPoint point =
      sweep_of("",
               {"network.activation={ name = \"leaky_relu\", slope = 0.2 }", "network.widths=[3, 4]",
                "network.branch_scale=1/sqrt(depth)", "data.source=\"idx\"", "data.path=../mnist/train.idx",
                "run.checks=true", "title=An order to chaos", "seed=18446744073709551615"})
          .point(0);

  EXPECT_EQ(point.name("network.activation").real("slope", 0), 0.2);
  EXPECT_THAT(point.integers("network.widths"), ElementsAre(3, 4));
  EXPECT_EQ(point.text("network.branch_scale"), "1/sqrt(depth)");
  EXPECT_EQ(point.text("data.source"), "idx");
  EXPECT_EQ(point.text("data.path"), "../mnist/train.idx");
  EXPECT_TRUE(point.boolean("run.checks"));
  EXPECT_EQ(point.text("title"), "An order to chaos");
  EXPECT_EQ(point.seed("seed"), 18446744073709551615U);
}

TEST(Set, TellsAListValueFromAnAxisOfLists) {
  EXPECT_THAT(column(sweep_of("", {"network.widths=[[3, 4], [5]]"}), "network.widths"),
              ElementsAre("[3, 4]", "[5]"));
  EXPECT_THAT(column(sweep_of("", {"network.activation=[\"erf\", 'tanh']"}), "network.activation"),
              ElementsAre("\"erf\"", "\"tanh\""));
}

TEST(Set, LastOneOfAKeyCounts) {
  EXPECT_EQ(sweep_of("", {"seed=[1, 2]", "seed=3"}).point(0).seed("seed"), 3U);
}

TEST(Set, NamesTheOptionInItsMessages) {
  EXPECT_EQ(
      refusal_of("", {"init.sigma_x=1"}),
      "--set init.sigma_x=1: init.sigma_x: unknown key; did you mean init.sigma_w? known keys: init.sigma_w "
      "init.sigma_b");
  EXPECT_EQ(refusal_of("", {"network.depth=1e"}),
            "--set network.depth=1e: network.depth: read \"1e\"; expected an integer");
  EXPECT_EQ(refusal_of("", {"network.depth=[1, 2.5]"}),
            "--set network.depth=[1, 2.5]: network.depth: read 2.5; expected an integer");
  EXPECT_EQ(refusal_of("", {"network.depth=[1,"}),
            "--set network.depth=[1,: network.depth: read \"[1,\"; expected a TOML value (texts in lists and "
            "tables need their quotes)");
  EXPECT_EQ(refusal_of("", {"seed=[4, 4]"}),
            "--set seed=[4, 4]: seed: value 2 of the axis repeats value 1: 4; expected different values");
  EXPECT_EQ(
      refusal_of("", {"run.threads=[1]"}),
      "--set run.threads=[1]: run.threads: cannot be swept; expected one value, outside [sweep] and [[zip]]");
  EXPECT_EQ(refusal_of("", {"seed"}), "--set seed: expected key=value");
}

TEST(Set, CannotSmuggleInASecondKey) {
  EXPECT_EQ(refusal_of("", {"network.depth=4\nseed=3"}),
            "--set network.depth=4\nseed=3: network.depth: read \"4\\x0aseed=3\"; expected an integer");
}

}  // namespace
}  // namespace gradflow::sweep
