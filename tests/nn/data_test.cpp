#include "gradflow/nn/data.hpp"

#include <cmath>
#include <memory>
#include <numbers>
#include <set>

#include <gtest/gtest.h>

#include "made_up_data.hpp"
#include "networks.hpp"
#include "recording.hpp"

namespace gradflow::nn {
namespace {

constexpr int width = 150;

NetworkSpec fed_from(std::string_view source, int batch) {
  NetworkSpec spec = with_batch(network(Widths::listed({width, 20}), "tanh", 1), batch);
  spec.data = source;
  return spec;
}

/// Every sample of the batch, in double.
Samples inputs(const NetworkSpec& spec) {
  const Stack stack = microbatch_rows({spec}, 0, 1);
  return samples_of(input<double>({spec}, stack).front(), stack, 1)[0];
}

double dot(const Row& a, const Row& b) {
  double sum = 0;
  for (std::size_t j = 0; j < a.values.size(); ++j) sum += a.values[j] * b.values[j];
  return sum;
}

double cosine(const Row& a, const Row& b) { return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b)); }

/// What rounding every feature to float32 does to a cosine or a mean square of 1.
constexpr double rounding = 2 * 0x1p-24;

class EveryDataSource : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryDataSource, GivesASampleTheSameInputInWhateverMicrobatchAndPrecision) {
  NetworkSpec spec = fed_from(GetParam(), 130);
  spec.data_set = std::make_shared<MadeUpData>(1000, width, 0);
  const Samples whole = inputs(spec);
  ASSERT_EQ(whole.size(), 130u);
  std::set<std::vector<double>> different;
  for (const Row& row : whole) different.insert(row.values);
  EXPECT_EQ(different.size(), GetParam() == "zero" ? 1u : 130u);

  for (int m = 0; m < 5; ++m) {
    const Stack stack = microbatch_rows({spec}, m, 5);
    const Samples cut = samples_of(input<float>({spec}, stack).front(), stack, 1)[0];
    for (std::size_t i = 0; i < cut.size(); ++i) {
      EXPECT_EQ(cut[i].values, whole[std::size_t(stack.front().first_sample) + i].values);
    }
  }
}

TEST_P(EveryDataSource, GivesAPointTheSameInputAloneAndBesideOthers) {
  std::vector<NetworkSpec> bundle;
  for (const int batch : {40, 33, 40}) {
    bundle.push_back(fed_from(GetParam(), batch));
    bundle.back().data_set = std::make_shared<MadeUpData>(1000, width, 0);
    bundle.back().input_correlation = 0.1 * double(bundle.size());
  }
  const Stack stack = microbatch_rows(bundle, 0, 1);

  const std::vector<Samples> together = samples_of(input<double>(bundle, stack).front(), stack, 3);

  for (std::size_t point = 0; point < 3; ++point) {
    const Samples alone = inputs(bundle[point]);
    for (std::size_t s = 0; s < alone.size(); ++s) EXPECT_EQ(together[point][s].values, alone[s].values);
  }
}

std::vector<std::string_view> data_names() {
  std::vector<std::string_view> names;
  for (const DataRow& row : data_sources()) names.push_back(row.name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Catalogue, EveryDataSource, testing::ValuesIn(data_names()), row_name);

TEST(OrthogonalData, StandsAtRightAnglesUpToAsManySamplesAsFeatures) {
  const Samples x = inputs(fed_from("orthogonal", width));

  for (std::size_t s = 0; s < x.size(); ++s) {
    EXPECT_NEAR(dot(x[s], x[s]) / width, 1, rounding);
    for (std::size_t t = 0; t < s; ++t) EXPECT_NEAR(cosine(x[s], x[t]), 0, rounding) << s << ' ' << t;
  }
}

TEST(CorrelatedData, HasThePairCosineAskedFor) {
  for (const double c : {-1.0, -0.3, 0.0, 0.5, 0.999, 1.0}) {
    NetworkSpec spec = fed_from("correlated", 7);
    spec.input_correlation = c;

    const Samples x = inputs(spec);

    for (std::size_t s = 0; s < 7; ++s) EXPECT_NEAR(dot(x[s], x[s]) / width, 1, rounding);
    for (std::size_t s = 0; s < 6; s += 2) EXPECT_NEAR(cosine(x[s], x[s + 1]), c, rounding) << c << ' ' << s;
    // Independent directions: a cosine has the standard deviation 1/sqrt(width).
    EXPECT_LT(std::abs(cosine(x[0], x[2])), 4 / std::sqrt(width));
  }
}

TEST(CircleData, HasTheCosineOfTheAngleBetweenSamples) {
  const Samples x = inputs(fed_from("circle", 12));

  for (std::size_t s = 0; s < 12; ++s) {
    EXPECT_NEAR(dot(x[s], x[s]) / width, 1, rounding);
    EXPECT_NEAR(cosine(x[0], x[s]), std::cos(2 * std::numbers::pi * double(s) / 12), rounding);
  }
}

TEST(DataSources, ComplainOfWhatTheyCannotServe) {
  EXPECT_NE(complaint_of_data(fed_from("orthogonal", width + 1)), "");
  EXPECT_EQ(complaint_of_data(fed_from("orthogonal", width)), "");
  NetworkSpec few = fed_from("idx", 11);
  few.data_set = std::make_shared<MadeUpData>(10, width, 0);
  EXPECT_NE(complaint_of_data(few).find("10 samples"), std::string::npos);
  NetworkSpec parallel = fed_from("correlated", 2);
  parallel.input_correlation = 1.5;
  EXPECT_NE(complaint_of_data(parallel), "");
}

TEST(SelectedSamples, AreDifferentOnesOfTheDataAndTheBeginningOfALargerBatch) {
  const std::vector<std::int64_t> all = selected_samples(3, 1000, 1000);
  const std::vector<std::int64_t> some = selected_samples(3, 40, 1000);

  EXPECT_EQ(std::set<std::int64_t>(all.begin(), all.end()).size(), 1000u);
  EXPECT_TRUE(std::ranges::all_of(all, [](std::int64_t i) { return 0 <= i && i < 1000; }));
  EXPECT_TRUE(std::ranges::equal(some, std::span(all).first(40)));
  EXPECT_NE(selected_samples(4, 40, 1000), some);
}

TEST(SelectedSamples, TakeEverySampleEquallyOften) {
  constexpr int seeds = 10'000;
  std::vector<double> drawn(10, 0.0);
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    for (const std::int64_t i : selected_samples(seed, 3, 10)) drawn[std::size_t(i)] += 1;
  }
  // Each seed takes a sample with probability 3/10.
  const double standard_error = std::sqrt(seeds * 0.3 * 0.7);
  for (const double count : drawn) EXPECT_NEAR(count, seeds * 0.3, 4 * standard_error);
}

}  // namespace
}  // namespace gradflow::nn
