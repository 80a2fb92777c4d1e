#include "gradflow/core/failure.hpp"

#include <cstddef>
#include <set>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace gradflow {
namespace {

/// In the order in which they count: layer, then sample, then code; no failure last.
const std::vector<Failure> in_order{
    {FailureCode::non_finite, 1, 9},  {FailureCode::phase_lost, 2, 0},  {FailureCode::non_finite, 2, 0},
    {FailureCode::phase_lost, 2, 31}, {FailureCode::phase_lost, 10, 0}, {},
};

TEST(Failure, IsTheEarlierOfTwoWhicheverIsToldFirst) {
  for (std::size_t a = 0; a < in_order.size(); ++a) {
    for (std::size_t b = a; b < in_order.size(); ++b) {
      EXPECT_EQ(first_of(in_order[a], in_order[b]), in_order[a]) << a << ' ' << b;
      EXPECT_EQ(first_of(in_order[b], in_order[a]), in_order[a]) << a << ' ' << b;
    }
  }
}

TEST(Failure, IsFalseOnlyWithoutACode) {
  EXPECT_FALSE(Failure());
  EXPECT_TRUE((Failure{FailureCode::phase_lost, 1, 0}));
}

// Result files hold the numbers.
TEST(Failure, KeepsTheNumbersOfItsCodes) {
  EXPECT_EQ(int(FailureCode::none), 0);
  EXPECT_EQ(int(FailureCode::phase_lost), 1);
  EXPECT_EQ(int(FailureCode::exponent_overflow), 2);
  EXPECT_EQ(int(FailureCode::non_finite), 3);
}

TEST(Failure, MeansSomethingElseForEveryCode) {
  std::set<std::string_view> meanings;
  for (const int code : {0, 1, 2, 3}) meanings.insert(meaning(FailureCode(code)));

  EXPECT_EQ(meanings.size(), 4U);
  EXPECT_EQ(meanings.count(meaning(FailureCode(99))), 0U);
}

}  // namespace
}  // namespace gradflow
