#include "gradflow/core/rescale.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "gradflow/core/signal.hpp"

namespace gradflow {
namespace {

template <class Real>
Matrix<Real> row_of(const std::vector<Real>& values) {
  Matrix<Real> row(1, padded_width<Real>(int(values.size())));
  std::copy(values.begin(), values.end(), row.data());
  return row;
}

template <class Real>
class Rescale : public testing::Test {};
using Precisions = testing::Types<float, double>;
TYPED_TEST_SUITE(Rescale, Precisions);

TYPED_TEST(Rescale, LeavesASampleAloneInsideTheRange) {
  for (const TypeParam largest : {TypeParam(0x1p-16), TypeParam(1), TypeParam(0x1p16)}) {
    Matrix<TypeParam> row = row_of<TypeParam>({largest, -largest / 3});
    std::int32_t exponent = 5;

    EXPECT_EQ(rescale(row.row(0), exponent), FailureCode::none);

    EXPECT_EQ(exponent, 5);
    EXPECT_EQ(row(0, 0), largest);
  }
}

TYPED_TEST(Rescale, BringsTheLargestToOneWithoutChangingTheTrueValues) {
  using Limits = std::numeric_limits<TypeParam>;
  for (const TypeParam largest : {Limits::denorm_min(), Limits::denorm_min() * 5, Limits::min(),
                                  TypeParam(0.9 * 0x1p-16), TypeParam(1.1 * 0x1p16), Limits::max()}) {
    const std::vector<TypeParam> before{-largest, largest / 2, TypeParam(0)};
    Matrix<TypeParam> row = row_of(before);
    std::int32_t exponent = -3;

    EXPECT_EQ(rescale(row.row(0), exponent), FailureCode::none);

    EXPECT_GE(std::abs(row(0, 0)), 1);
    EXPECT_LT(std::abs(row(0, 0)), 2);
    for (int j = 0; j < 3; ++j) {
      EXPECT_EQ(std::ldexp(row(0, j), exponent + 3), before[std::size_t(j)]) << largest << ' ' << j;
    }
  }
}

TYPED_TEST(Rescale, GivesAZeroSampleExponentZero) {
  Matrix<TypeParam> row = row_of<TypeParam>({0, -TypeParam(0)});
  std::int32_t exponent = 1234;
  EXPECT_EQ(rescale(row.row(0), exponent), FailureCode::none);
  EXPECT_EQ(exponent, 0);
}

TYPED_TEST(Rescale, RefusesWhatNoExponentCanHold) {
  Matrix<TypeParam> large = row_of<TypeParam>({TypeParam(0x1p20)});
  std::int32_t exponent = largest_exponent - 19;
  EXPECT_EQ(rescale(large.row(0), exponent), FailureCode::exponent_overflow);

  Matrix<TypeParam> small = row_of<TypeParam>({TypeParam(0x1p-20)});
  exponent = -largest_exponent + 19;
  EXPECT_EQ(rescale(small.row(0), exponent), FailureCode::exponent_overflow);
}

TYPED_TEST(Rescale, SeesANonFiniteValueInEveryPlace) {
  for (int place = 0; place < 40; ++place) {
    for (const TypeParam bad :
         {std::numeric_limits<TypeParam>::infinity(), -std::numeric_limits<TypeParam>::infinity(),
          std::numeric_limits<TypeParam>::quiet_NaN()}) {
      Matrix<TypeParam> row = row_of(std::vector<TypeParam>(40, 3));
      row(0, place) = bad;
      std::int32_t exponent = 0;
      EXPECT_EQ(rescale(row.row(0), exponent), FailureCode::non_finite) << place;
    }
  }
}

TYPED_TEST(Rescale, FindsTheLargestMagnitudeOfARow) {
  const Matrix<TypeParam> row = row_of<TypeParam>({1, -7, 3});
  EXPECT_EQ(max_abs<TypeParam>(row.row(0)), 7);
}

}  // namespace
}  // namespace gradflow
