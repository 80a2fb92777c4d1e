#include "gradflow/report/plane.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/sample_file.hpp"

namespace gradflow::report {
namespace {

using testing::ElementsAre;

KeyValue number(const std::string& key, double value) { return {key, std::to_string(value), value}; }
KeyValue text(const std::string& key, const std::string& value) { return {key, value, nan}; }
Configuration with(std::vector<KeyValue> values) { return {"", std::move(values), {}, {}, 0}; }

TEST(Plane, PutsTheKeyWithMostValuesAcrossInAscendingOrder) {
  std::vector<Configuration> all;
  for (const char* activation : {"tanh", "relu"}) {
    for (const double sigma_w : {3.0, 1.0, 2.0}) {
      all.push_back(with({text("activation", activation), number("sigma_w", sigma_w)}));
    }
  }

  const Plane plane = plane_of(all);

  EXPECT_EQ(plane.across.key, "sigma_w");
  EXPECT_THAT(plane.across.numbers, ElementsAre(1, 2, 3));
  EXPECT_THAT(plane.up.texts, ElementsAre("tanh", "relu"));
  EXPECT_EQ(plane.at(0, 0), 1u);
  EXPECT_EQ(plane.at(1, 2), 3u);
}

TEST(Planes, AreOneForEachValueOfTheKeysThatAreHeld) {
  std::vector<Configuration> all;
  for (const char* activation : {"tanh", "relu"}) {
    for (const double sigma_b : {0.0, 0.1, 0.2}) {
      for (const double sigma_w : {1.0, 2.0, 3.0, 4.0}) {
        all.push_back(
            with({text("activation", activation), number("sigma_b", sigma_b), number("sigma_w", sigma_w)}));
      }
    }
  }
  all.pop_back();

  const std::vector<Plane> planes = planes_of(all);

  ASSERT_EQ(planes.size(), 2u);
  EXPECT_EQ(planes[0].held, "activation = tanh");
  EXPECT_EQ(planes[1].held, "activation = relu");
  EXPECT_EQ(planes[0].at(2, 3), 11u);
  EXPECT_EQ(planes[1].at(0, 0), 12u);
  EXPECT_FALSE(planes[1].at(2, 3));  // the one that is missing
}

TEST(Plane, PrefersANumberAcross) {
  std::vector<Configuration> all;
  for (const char* activation : {"tanh", "relu", "erf"}) {
    for (const double sigma_w : {1.0, 2.0}) {
      all.push_back(with({text("activation", activation), number("sigma_w", sigma_w)}));
    }
  }

  EXPECT_EQ(plane_of(all).across.key, "sigma_w");
  EXPECT_EQ(plane_of(all).up.key, "activation");
}

TEST(Plane, GivesZippedKeysOneAxis) {
  const Plane plane = plane_of(
      {with({number("sigma_w", 1), number("depth", 10)}), with({number("sigma_w", 2), number("depth", 20)})});

  EXPECT_EQ(plane.across.key, "sigma_w");
  EXPECT_EQ(plane.up.key, "");
  EXPECT_EQ(plane.held, "");
}

TEST(Plane, KeepsKindsApartThatAreZippedWithANumber) {
  std::vector<Configuration> all;
  for (const double sigma_w : {0.9, 1.0, 1.1}) {
    all.push_back(with({text("activation", "linear"), number("sigma_w", sigma_w)}));
  }
  for (const double sigma_w : {1.3, 1.4}) {
    all.push_back(with({text("activation", "relu"), number("sigma_w", sigma_w)}));
  }

  const Plane plane = plane_of(all);

  EXPECT_EQ(plane.across.key, "sigma_w");
  EXPECT_THAT(plane.up.texts, ElementsAre("linear", "relu"));
  EXPECT_EQ(plane.at(0, 2), 2u);
  EXPECT_FALSE(plane.at(1, 2));
  EXPECT_EQ(plane.at(1, 3), 3u);
}

TEST(Plane, KeepsKindsApartBeforeItShowsAnotherKey) {
  std::vector<Configuration> all;
  for (const double width : {64.0, 128.0}) {
    for (const double sigma_w : {1.0, 1.1, 1.3, 1.4}) {
      const std::string activation = sigma_w < 1.2 ? "linear" : "relu";
      all.push_back(
          with({number("width", width), text("activation", activation), number("sigma_w", sigma_w)}));
    }
  }

  const Plane plane = plane_of(all);

  EXPECT_EQ(plane.up.key, "activation");
  EXPECT_EQ(plane.held, "width = " + std::to_string(64.0));
}

TEST(Plane, NeedsNoAxisForATextThatGoesWithAnother) {
  std::vector<Configuration> all;
  for (const double sigma_w : {1.0, 2.0, 3.0}) {
    all.push_back(
        with({text("activation", "tanh"), text("scheme", "orthogonal"), number("sigma_w", sigma_w)}));
    all.push_back(with({text("activation", "relu"), text("scheme", "gaussian"), number("sigma_w", sigma_w)}));
  }

  EXPECT_EQ(plane_of(all).up.key, "activation");
  EXPECT_EQ(plane_of(all).held, "");
}

TEST(Plane, HoldsFurtherKeysAtTheirFirstValue) {
  std::vector<Configuration> all;
  for (const double width : {64.0, 128.0}) {
    for (const double sigma_w : {1.0, 2.0, 3.0}) {
      for (const double sigma_b : {0.0, 0.1, 0.2}) {
        all.push_back(with({number("width", width), number("sigma_w", sigma_w), number("sigma_b", sigma_b)}));
      }
    }
  }

  const Plane plane = plane_of(all);

  EXPECT_EQ(plane.held, "width = " + std::to_string(64.0));
  for (const auto& [place, configuration] : plane.cells)
    EXPECT_LT(configuration, 9u);  // the first nine have width 64
}

TEST(Plane, LeavesCellsWithoutAConfigurationEmpty) {
  const Plane plane =
      plane_of({with({number("a", 1), number("b", 1)}), with({number("a", 1), number("b", 2)}),
                with({number("a", 2), number("b", 1)})});

  EXPECT_TRUE(plane.at(0, 0) && plane.at(0, 1) && plane.at(1, 0));
  EXPECT_FALSE(plane.at(1, 1));
}

TEST(Plane, OfOneConfigurationHasOneCell) {
  const Plane plane = plane_of({with({number("sigma_w", 1)})});

  EXPECT_EQ(plane.across.key, "");
  EXPECT_EQ(plane.at(0, 0), 0u);
}

}  // namespace
}  // namespace gradflow::report
