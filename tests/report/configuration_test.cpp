#include "gradflow/report/configuration.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/sample_file.hpp"

namespace gradflow::report {
namespace {

using store::Status;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Configurations, GatherTheSeedsWhereverTheyStandInTheSweep) {
  SampleFile sample;
  for (const std::uint64_t seed : {0, 1}) {  // the seed is the slowest axis
    for (const double sigma_w : {1.0, 1.5}) sample.points.push_back({.sigma_w = sigma_w, .seed = seed});
  }

  const std::vector<Configuration> all = configurations(sample.write("seeds"));

  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].label, "activation = tanh, sigma_w = 1");
  EXPECT_THAT(all[0].points, ElementsAre(0, 2));
  EXPECT_THAT(all[1].points, ElementsAre(1, 3));
}

TEST(Configurations, CountWhatIsDoneAndWhatFailed) {
  const SampleFile sample{.points = {{.seed = 0},
                                     {.seed = 1, .status = Status::not_done},
                                     {.seed = 2, .status = Status::failed},
                                     {.seed = 3}}};
  const store::ResultFile file = sample.write("partial");

  const std::vector<Configuration> all = configurations(file);
  const Coverage coverage = coverage_of(file);

  ASSERT_EQ(all.size(), 1u);
  EXPECT_THAT(all[0].done, ElementsAre(0, 3));
  EXPECT_EQ(all[0].failed, 1u);
  EXPECT_EQ(coverage.done, 2u);
  EXPECT_EQ(coverage.failed, 1u);
  EXPECT_EQ(coverage.missing(), 1u);
}

TEST(Configurations, NameOnlyTheParametersTheyHave) {
  const SampleFile sample{.points = {{.activation = "leaky_relu", .slope = 0.1}, {.activation = "tanh"}}};

  const std::vector<Configuration> all = configurations(sample.write("parameters"));

  EXPECT_EQ(all[0].label, "activation = leaky_relu, activation_slope = 0.1, sigma_w = 1");
  EXPECT_EQ(all[1].label, "activation = tanh, sigma_w = 1");
}

TEST(Configurations, HaveLabelsThatATerminalCannotObey) {
  const SampleFile sample{.points = {{.activation = "tanh\x1b[31m\r\n\xc2\x9b"
                                                    "5n\xff"}}};

  EXPECT_THAT(configurations(sample.write("control"))[0].label, HasSubstr("tanh?[31m???5n?"));
}

}  // namespace
}  // namespace gradflow::report
