#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "gradflow/core/random.hpp"
#include "made_up_data.hpp"
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

/// z = values * 2^exponent in every sample of a cross_entropy of 3 classes, and the class of sample 0.
template <class Real>
struct Logits {
  NetworkSpec spec = with_loss(with_batch(network(Widths::listed({7, 3}), "tanh", 1), 1), "cross_entropy");
  int label = labels(spec, 0, 1).front();

  Signal<Real> signal(std::array<double, 3> values, int exponent) const {
    Signal<Real> z(32, 3);
    for (int j = 0; j < 3; ++j) z.values(0, j) = Real(values[std::size_t(j)]);
    z.exponents[0] = exponent;
    return z;
  }
};

TYPED_TEST(Loss, CrossEntropyHasTheCotangentSoftmaxMinusOneHotWhateverTheExponent) {
  const Logits<TypeParam> logits;
  for (const int exponent : {-100000, -30, -1, 0, 3}) {
    const std::array<double, 3> z{0.5, -1.25, 1.5};

    const Signal<TypeParam> dz = cotangent_of(logits.spec, logits.signal(z, exponent));

    double sum = 0;
    for (const double x : z) sum += std::exp(std::ldexp(x, exponent));
    for (int j = 0; j < 3; ++j) {
      const double p = std::exp(std::ldexp(z[std::size_t(j)], exponent)) / sum;
      const double got = std::ldexp(double(dz.values(0, j)), dz.exponents[0]);
      EXPECT_NEAR(got, p - (j == logits.label ? 1 : 0), 2 * std::numeric_limits<TypeParam>::epsilon());
    }
  }
}

TYPED_TEST(Loss, CrossEntropyOfAConfidentNetworkHasAGradientThatNoDoubleHolds) {
  const Logits<TypeParam> logits;
  std::array<double, 3> z{0, 0, 0};
  z[std::size_t(logits.label)] = 1;  // times 2^20: the others have p = e^-1048576

  const Signal<TypeParam> dz = cotangent_of(logits.spec, logits.signal(z, 20));

  for (int j = 0; j < 3; ++j) {
    const Scaled got = Scaled::of(double(dz.values(0, j)), dz.exponents[0]);
    const double expected = -1048576 / std::log(10.0) + (j == logits.label ? std::log10(2.0) : 0);
    EXPECT_NEAR(got.log10(), expected, 1e-6);  // one rounding to float32
    EXPECT_EQ(got.mantissa < 0, j == logits.label);
  }
}

TYPED_TEST(Loss, CrossEntropySumsToZeroOverTheClasses) {
  const Logits<TypeParam> logits;

  const Signal<TypeParam> dz = cotangent_of(logits.spec, logits.signal({3, -2, 0.1}, 1));

  double sum = 0, largest = 0;
  for (int j = 0; j < 3; ++j) {
    sum += double(dz.values(0, j));
    largest = std::max(largest, std::abs(double(dz.values(0, j))));
  }
  EXPECT_LE(std::abs(sum), 2 * std::numeric_limits<TypeParam>::epsilon() * largest);
}

TEST(CrossEntropy, SaysSoIfItsGradientLeavesTheExponents) {
  const Logits<float> logits;
  std::array<double, 3> z{0, 0, 0};
  z[std::size_t(logits.label)] = 1;
  Failures failures(1);
  State<float> state;
  state.push_back(logits.signal(z, 40));  // p = e^-2^40

  cotangent({logits.spec}, std::move(state), microbatch_rows({logits.spec}, 0, 1), failures);

  EXPECT_EQ(failures.front().code, FailureCode::exponent_overflow);
}

TYPED_TEST(Loss, OneHotIsTheUnitOfTheSamplesClass) {
  const NetworkSpec spec = example("one_hot", 40);
  const std::vector<int> classes = labels(spec, 0, 40);

  const Signal<TypeParam> dy = cotangent_of(spec, Signal<TypeParam>(64, 20));

  for (int s = 0; s < 40; ++s) {
    for (int j = 0; j < 20; ++j) EXPECT_EQ(dy.values(s, j), j == classes[std::size_t(s)] ? 1 : 0);
  }
  EXPECT_GT(std::set<int>(classes.begin(), classes.end()).size(), 10u);  // of 20; 17 are expected
}

TYPED_TEST(Loss, SumOfSquaresHandsTheOutputBack) {
  const NetworkSpec spec = example("sum_of_squares", 1);
  Signal<TypeParam> output(32, 20);
  output.values(0, 3) = 5;
  output.exponents[0] = -4000;

  const Signal<TypeParam> dy = cotangent_of(spec, std::move(output));

  EXPECT_EQ(dy.values(0, 3), 5);
  EXPECT_EQ(dy.exponents[0], -4000);
}

TEST(LossOnLabels, TakesTheClassesOfTheDataWhereItHasSome) {
  NetworkSpec spec = example("mse", 40);
  spec.data = "idx";
  spec.data_set = std::make_shared<MadeUpData>(50, 7, 20);
  const std::vector<std::int64_t> chosen = selected_samples(spec.seed, 40, 50);

  const Signal<double> dy = cotangent_of(spec, Signal<double>(64, 20));

  for (int s = 0; s < 40; ++s) {
    const int label = spec.data_set->label(chosen[std::size_t(s)]);
    for (int j = 0; j < 20; ++j) EXPECT_EQ(dy.values(s, j), j == label ? -1 : 0) << s;  // 0 - e_y
  }
}

TEST(LossOnLabels, ComplainsOfLabelsBeyondTheLastLayer) {
  NetworkSpec spec = example("cross_entropy", 4);
  spec.data_set = std::make_shared<MadeUpData>(50, 7, 20);
  EXPECT_EQ(complaint_of_labels(spec), "");

  spec.data_set = std::make_shared<MadeUpData>(50, 7, 21);
  EXPECT_NE(complaint_of_labels(spec).find("label 20"), std::string::npos);

  spec.backward.loss = "random";  // asks nobody
  EXPECT_EQ(complaint_of_labels(spec), "");
}

}  // namespace
}  // namespace gradflow::nn
