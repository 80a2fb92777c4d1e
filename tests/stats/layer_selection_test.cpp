#include "gradflow/stats/layer_selection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"

namespace gradflow::stats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<int> layers(const char* text, int depth) { return LayerSelection::parse(text).select(depth); }

TEST(LayerSelection, AllIsEveryLayer) {
  EXPECT_THAT(layers("all", 4), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(layers("all", 1), ElementsAre(1));
}

TEST(LayerSelection, EveryTenthEndsWithTheLast) {
  EXPECT_THAT(layers("every:10", 25), ElementsAre(1, 11, 21, 25));
  EXPECT_THAT(layers("every:10", 21), ElementsAre(1, 11, 21));
  EXPECT_THAT(layers("every:10", 1), ElementsAre(1));
  EXPECT_THAT(layers("every:2147483647", 9), ElementsAre(1, 9));
  EXPECT_EQ(layers("every:1", 300), layers("all", 300));
}

TEST(LayerSelection, LogarithmicKeepsEqualRatios) {
  EXPECT_THAT(layers("log:5", 10000), ElementsAre(1, 10, 100, 1000, 10000));
  EXPECT_THAT(layers("log:2", 7), ElementsAre(1, 7));
  EXPECT_THAT(layers("log:64", 1), ElementsAre(1));
  EXPECT_THAT(layers("log:64", 5), ElementsAre(1, 2, 3, 4, 5));
}

class LogarithmicAtDepth : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Depths, LogarithmicAtDepth, testing::Values(2, 3, 50, 200, 997, 10000, 1000000));

TEST_P(LogarithmicAtDepth, AscendsFromTheFirstToTheLastLayer) {
  const std::vector<int> chosen = layers("log:64", GetParam());

  EXPECT_EQ(chosen.front(), 1);
  EXPECT_EQ(chosen.back(), GetParam());
  EXPECT_LE(chosen.size(), 64u);
  for (std::size_t k = 1; k < chosen.size(); ++k) EXPECT_LT(chosen[k - 1], chosen[k]);
}

class NoLayers : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Texts, NoLayers,
                         testing::Values("", "some", "every", "every:", "every:0", "every:-3", "every:2.5",
                                         "every:1 ", "every: 1", "log:1", "log:", "log:99999999999", "ALL"));

TEST_P(NoLayers, AreRefusedSayingWhatToWrite) {
  try {
    LayerSelection::parse(GetParam());
    FAIL() << "no error";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("\"" + std::string(GetParam()) + "\""));
    EXPECT_THAT(error.what(), HasSubstr("every:10"));
    EXPECT_THAT(error.what(), HasSubstr("log:64"));
  }
}

}  // namespace
}  // namespace gradflow::stats
