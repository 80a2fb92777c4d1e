#include "../../src/report/scale.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gradflow::report {
namespace {

using testing::ElementsAre;

TEST(Ticks, StandAtRoundValuesWithinTheRange) {
  EXPECT_THAT(ticks({-1.1, 2.1, false}, 4, Notation::number), ElementsAre(-1, 0, 1, 2));
  EXPECT_THAT(ticks({-0.3, 1.2, false}, 8, Notation::power_of_ten), ElementsAre(0, 1));
}

TEST(Ticks, AreTheEndsWhereNoStepShows) {
  for (const double far : {1e20, -1e20, 1e300}) {
    EXPECT_THAT(ticks({far, far, false}, 8, Notation::power_of_ten), ElementsAre(far, far));
    EXPECT_THAT(ticks({far, far, false}, 8, Notation::number), ElementsAre(far, far));
  }
}

}  // namespace
}  // namespace gradflow::report
