#include "gradflow/experiment/memory.hpp"

#include <string>

#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/experiment/schema.hpp"

namespace gradflow::experiment {
namespace {

constexpr double mebi = 1 << 20;

sweep::Sweep sweep_of(const std::string& network, const std::string& axes = "seed = [0]") {
  return sweep::Sweep::parse("[network]\n" + network + "\n[data]\nbatch = 64\n[sweep]\n" + axes + "\n",
                             "test.toml", sweep_schema());
}

Plan plan_of(const sweep::Sweep& sweep, double limit, int microbatches = 1) {
  Request request;
  request.microbatches = microbatches;
  request.memory = {.limit = limit, .ample = limit, .process = 30 * mebi};
  return make_plan(sweep, request, 1, 2);
}

MemoryUse use_of(const sweep::Sweep& sweep, const Plan& plan) { return largest_use(sweep, plan).use; }

TEST(Memory, CountsWeightsAndSignalsWhenEverythingIsKept) {
  const sweep::Sweep sweep = sweep_of("depth = 1000\nwidth = 128");

  const MemoryUse use = use_of(sweep, plan_of(sweep, MemoryBudget::unlimited));

  EXPECT_EQ(use.checkpointing, pipeline::Checkpointing{});
  const double arrays = 1000.0 * (128 * 128 + 2 * 64 * 128) * sizeof(float);
  EXPECT_GT(use.network, arrays);
  EXPECT_LT(use.network, 1.05 * arrays);  // records and objects: below 4 KB of 131 KB a layer
}

TEST(Memory, OfAMillionLayersStaysBelowAGibibyte) {
  const sweep::Sweep sweep = sweep_of("depth = 1000000\nwidth = 64\nactivation = \"sigmoid\"");

  const MemoryUse use = use_of(sweep, plan_of(sweep, 1024 * mebi));

  EXPECT_EQ(use.checkpointing.spans.size(), 1u);
  EXPECT_FALSE(use.checkpointing.keep_weights);
  EXPECT_LT(use.total(), 1024 * mebi);
  EXPECT_LT(use.network, 100 * mebi);  // 2 sqrt(n state block) is about 60 MiB
}

TEST(Memory, SpendsTimeBeyondWhatIsAmple) {
  const sweep::Sweep sweep = sweep_of("depth = 100000\nwidth = 256");
  Plan plan = plan_of(sweep, 100 * 1024 * mebi);
  EXPECT_TRUE(use_of(sweep, plan).checkpointing.keeps_tapes());

  plan.memory.ample = 1024 * mebi;

  EXPECT_LT(use_of(sweep, plan).total(), 512 * mebi);
}

TEST(Memory, TakesTheLargestPointOfTheSweep) {
  const sweep::Sweep sweep = sweep_of(
      "activation = \"tanh\"", "network.depth = [10, 500, 20]\nseed = [1, 2]\nnetwork.width = [64, 32]");

  const LargestUse largest = largest_use(sweep, plan_of(sweep, MemoryBudget::unlimited));

  EXPECT_EQ(largest.point, 4u);  // depth 500, seed 1, width 64
}

TEST(Memory, StacksFewerPointsWhenTheyWouldHaveToBeComputedTwice) {
  const sweep::Sweep sweep = sweep_of("depth = 1000\nwidth = 64", "init.sigma_w = { linspace = [1, 2, 16] }");
  const nn::NetworkSpec network = network_of(sweep.point(0));
  ASSERT_EQ(bundled_points(plan_of(sweep, MemoryBudget::unlimited), network, Precision::float32), 16);

  const Plan tight = plan_of(sweep, 200 * mebi);
  const int stacked = bundled_points(tight, network, Precision::float32);

  EXPECT_LT(stacked, 16);
  const nn::Bundle bundle(std::size_t(stacked), network);
  EXPECT_LE(memory_of(bundle, Precision::float32, tight, 1, 0).total(), 200 * mebi);
}

TEST(Memory, CountsThePointsOfABundleInTheLayersTheyHave) {
  const sweep::Sweep sweep = sweep_of("width = 128", "network.depth = [1000, 100]");
  const Plan plan = plan_of(sweep, MemoryBudget::unlimited);
  const nn::NetworkSpec deep = network_of(sweep.point(0)), shallow = network_of(sweep.point(1));
  const auto use = [&](const nn::Bundle& bundle) {
    return memory_of(bundle, Precision::float32, plan, 1, 0);
  };

  const double shallow_alone = use({shallow}).network;
  const double weights = 100.0 * 128 * 128 * sizeof(float);
  const double added = use({deep, shallow}).network - use({deep}).network;

  EXPECT_NEAR(added, shallow_alone - weights, 0.01 * shallow_alone);  // heap objects of 100 blocks
  EXPECT_LT(added, 0.2 * (use({deep, deep}).network - use({deep}).network));
  EXPECT_EQ(largest_use(sweep, plan).stacked, 2);
}

TEST(Memory, CountsTheSamplesThatStatisticsKeepUntilTheBatchIsWhole) {
  const std::string network = "depth = 100\nwidth = 128";
  const auto use = [&](const std::string& statistics, int microbatches) {
    const sweep::Sweep sweep = sweep_of(network + statistics);
    return use_of(sweep, plan_of(sweep, MemoryBudget::unlimited, microbatches)).gradients;
  };
  const std::string ranks = "\n[statistics]\nalso = [\"act_effective_rank\"]";
  const double samples = 64.0 * 128 * sizeof(double);

  const double cut = use(ranks, 2) - use("", 2);
  const double whole = use(ranks, 1) - use("", 1);

  EXPECT_GT(cut, 100 * samples);
  EXPECT_LT(cut, 120 * samples);
  EXPECT_LT(whole, 20 * samples);  // of the layers at work
}

TEST(Memory, CountsTheDirectionsOfAJacobian) {
  const sweep::Sweep without = sweep_of("depth = 10\nwidth = 512");
  const sweep::Sweep with = sweep_of("depth = 10\nwidth = 512\n[jacobian]\ndirections = \"all\"");

  const double more = use_of(with, plan_of(with, MemoryBudget::unlimited)).total() -
                      use_of(without, plan_of(without, MemoryBudget::unlimited)).total();

  // X, a factor, rows and their orthonormal form in float64 at the least.
  constexpr double square = 512.0 * 512 * sizeof(double);
  EXPECT_GT(more, 4 * square);
  EXPECT_LT(more, 40 * square);
}

TEST(Memory, RefusesALimitBelowOneLayerAndSaysWhatIsNeeded) {
  const sweep::Sweep sweep = sweep_of("depth = 50\nwidth = 3000");
  try {
    too_large_points(sweep, plan_of(sweep, 60 * mebi));
    FAIL() << "a 3000 x 3000 layer takes 34 MiB beside a process of 30";
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("--memory: 60M"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("depth 50, batch 64"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(too_large_points(sweep, plan_of(sweep, 400 * mebi)));
}

}  // namespace
}  // namespace gradflow::experiment
