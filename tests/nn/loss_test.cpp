#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "gradflow/core/random.hpp"
#include "networks.hpp"
#include "recording.hpp"

namespace gradflow::nn {
namespace {

NetworkSpec example(std::string_view loss, int batch) {
  return with_loss(with_batch(network(Widths::listed({7, 20}), "tanh", 1), batch), loss);
}

template <class Real>
std::vector<Real> normal_numbers(const NetworkSpec& spec, Purpose purpose, int sample, int width) {
  std::vector<Real> numbers(static_cast<std::size_t>(width));
  fill_normal<Real>({spec.seed, purpose, 0}, std::uint32_t(sample), numbers);
  return numbers;
}

template <class Real>
Signal<Real> cotangent_of(const NetworkSpec& spec, Signal<Real> output, int microbatch = 0, int count = 1) {
  Failures failures(1);
  State<Real> state;
  state.push_back(std::move(output));
  const Stack stack = microbatch_rows({spec}, microbatch, count);
  Signal<Real> dy = std::move(cotangent({spec}, std::move(state), stack, failures).front());
  EXPECT_FALSE(failures.front());
  return dy;
}

template <class Real>
class Loss : public testing::Test {};
using Precisions = testing::Types<float, double>;
TYPED_TEST_SUITE(Loss, Precisions);

TYPED_TEST(Loss, MseHasTheCotangentOutputMinusTargetWhateverTheExponents) {
  for (const int exponent : {-100000, -149, -40, -1, 0, 1, 40, 149, 100000}) {
    const NetworkSpec spec = example("mse", 3);
    Signal<TypeParam> output(32, 20);
    for (int s = 0; s < 3; ++s) {
      const auto h = normal_numbers<TypeParam>(spec, Purpose::data, s + 50, 20);
      std::ranges::copy(h, output.values.row(s).begin());
      output.exponents[std::size_t(s)] = s == 1 ? exponent : 0;
    }

    const Signal<TypeParam> dy = cotangent_of(spec, output.copy());

    for (int s = 0; s < 3; ++s) {
      const auto target = normal_numbers<TypeParam>(spec, Purpose::target, s, 20);
      for (int j = 0; j < 20; ++j) {
        const Scaled h = Scaled::of(double(output.values(s, j)), output.exponents[std::size_t(s)]);
        const Scaled y = Scaled::of(double(target[std::size_t(j)]));
        const Scaled got = Scaled::of(double(dy.values(s, j)), dy.exponents[std::size_t(s)]);
        // Two roundings, of numbers below 7 times the larger power of two.
        const double tolerance = 14 * double(std::numeric_limits<TypeParam>::epsilon());
        const Scaled larger = Scaled::of(1, s == 1 ? std::max(exponent, 0) : 0);
        EXPECT_NEAR(((got - (h - y)) / larger).value(), 0, tolerance) << exponent << ' ' << s << ' ' << j;
      }
    }
  }
}

TYPED_TEST(Loss, MseOfAnOutputThatHitsItsTargetIsWithoutGradient) {
  const NetworkSpec spec = example("mse", 1);
  Signal<TypeParam> output(32, 20);
  std::ranges::copy(normal_numbers<TypeParam>(spec, Purpose::target, 0, 20), output.values.row(0).begin());

  const Signal<TypeParam> dy = cotangent_of(spec, std::move(output));

  EXPECT_EQ(std::ranges::count(dy.values.row(0), TypeParam(0)), dy.values.cols());
  EXPECT_EQ(dy.exponents[0], 0);
}

TYPED_TEST(Loss, RandomIsANormalCotangentOfItsOwnForEverySample) {
  const NetworkSpec spec = example("random", 40);
  Signal<TypeParam> output(64, 20);
  std::ranges::fill(output.values.row(5), TypeParam(3));  // padding and all: must be gone afterwards
  output.exponents[5] = 77;

  const Signal<TypeParam> dy = cotangent_of(spec, std::move(output));

  for (int s = 0; s < 40; ++s) {
    const auto expected = normal_numbers<TypeParam>(spec, Purpose::cotangent, s, 20);
    EXPECT_TRUE(std::ranges::equal(dy.values.row(s).first(20), expected)) << s;
    EXPECT_EQ(dy.values(s, 20), 0);
    EXPECT_EQ(dy.exponents[std::size_t(s)], 0);
  }
}

TYPED_TEST(Loss, GivesASharedCotangentToEverySampleOfEveryMicrobatch) {
  NetworkSpec spec = example("random", 70);
  spec.backward.shared = true;

  const Signal<TypeParam> first = cotangent_of(spec, Signal<TypeParam>(32, 20), 0, 3);
  const Signal<TypeParam> last = cotangent_of(spec, Signal<TypeParam>(32, 20), 2, 3);

  for (int s = 0; s < 32; ++s) {
    EXPECT_TRUE(std::ranges::equal(first.values.row(s), first.values.row(0))) << s;
  }
  EXPECT_TRUE(std::ranges::equal(last.values.row(5), first.values.row(0)));
  EXPECT_EQ(last.values(6, 0), 0);  // 70 samples: the third microbatch has 6
}

class EveryLoss : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryLoss, GivesASampleTheSameCotangentInWhateverMicrobatchItIs) {
  const NetworkSpec spec = example(GetParam(), 130);
  const Signal<float> whole = cotangent_of(spec, Signal<float>(160, 20));
  for (const int count : {2, 3, 5}) {
    for (int m = 0; m < count; ++m) {
      const RowRange range = microbatch_rows({spec}, m, count).front();
      const Signal<float> cut = cotangent_of(spec, Signal<float>(range.rows(), 20), m, count);
      for (int i = 0; i < range.samples; ++i) {
        EXPECT_TRUE(std::ranges::equal(cut.values.row(i), whole.values.row(range.first_sample + i)));
      }
    }
  }
}

std::vector<std::string_view> loss_names() {
  std::vector<std::string_view> names;
  for (const LossRow& row : losses()) names.push_back(row.name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryLoss, testing::ValuesIn(loss_names()), row_name);

class EveryDataSource : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryDataSource, GivesASampleTheSameInputInWhateverMicrobatchAndPrecision) {
  NetworkSpec spec = example("random", 130);
  spec.data = GetParam();
  const Samples whole = samples_of(input<double>({spec}, microbatch_rows({spec}, 0, 1)).front(),
                                   microbatch_rows({spec}, 0, 1), 1)[0];
  ASSERT_EQ(whole.size(), 130u);
  std::set<std::vector<double>> different;
  for (const Row& row : whole) different.insert(row.values);
  EXPECT_EQ(different.size(), 130u);

  for (int m = 0; m < 5; ++m) {
    const Stack stack = microbatch_rows({spec}, m, 5);
    const Samples cut = samples_of(input<float>({spec}, stack).front(), stack, 1)[0];
    for (std::size_t i = 0; i < cut.size(); ++i) {
      EXPECT_EQ(cut[i].values, whole[std::size_t(stack.front().first_sample) + i].values);
    }
  }
}

std::vector<std::string_view> data_names() {
  std::vector<std::string_view> names;
  for (const DataRow& row : data_sources()) names.push_back(row.name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryDataSource, testing::ValuesIn(data_names()), row_name);

}  // namespace
}  // namespace gradflow::nn
