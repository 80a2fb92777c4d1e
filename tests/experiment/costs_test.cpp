#include <cmath>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "experiment/made_up_costs.hpp"
#include "gradflow/experiment/cost_cache.hpp"
#include "gradflow/experiment/cost_measurement.hpp"

namespace gradflow::experiment {
namespace {

/// A power law is exact but for the rounding of a few logarithms and exponentials.
constexpr double rounding = 1e-12;

TEST(PowerLaw, IsExactBetweenAndBeyondPointsOfOnePower) {
  const std::vector<double> x{1, 2, 8};
  const std::vector<double> squares{3, 12, 192};

  for (const double at : {1.0, 1.5, 5.0, 8.0, 100.0}) {
    EXPECT_NEAR(power_law(x, squares, at) / (3 * at * at), 1, rounding) << at;
  }
}

TEST(PowerLaw, DoesNotFollowNoiseBeyondItsPoints) {
  const std::vector<double> x{1, 2};
  const std::vector<double> falling{4, 1};

  EXPECT_NEAR(power_law(x, falling, 8), 1 * 4, rounding);  // slope 1, the least
  EXPECT_NEAR(power_law(x, falling, 0.5), 4, rounding);    // slope 0
}

LayerWork square_layer(int width, int rows) {
  return {.fan_in = width, .fan_out = width, .rows = rows, .batch = 32};
}

TEST(CostModel, FollowsTheMeasuredLawAtEveryShape) {
  const Costs costs = made_up_costs();
  const CostModel model(costs, Precision::float32, "standard", 1);

  for (const int rows : {32, 96, 512, 4096}) {
    for (const int width : {64, 100, 512, 2048}) {
      const PassSeconds seconds = model.layer(square_layer(width, rows));
      const double expected = 1e-9 * rows * width * width;
      // Statistics take 1e-15 s where products take 1e-4 s and more.
      EXPECT_NEAR(seconds.forward / expected, 1, 1e-10);
      EXPECT_NEAR(seconds.backward / expected, 2, 1e-10);
    }
  }
}

TEST(CostModel, TilesLimitTheThreadsThatHelp) {
  const Costs costs = made_up_costs();
  const CostModel one(costs, Precision::float32, "standard", 1),
      two(costs, Precision::float32, "standard", 2);

  const double single_tile =
      two.layer(square_layer(512, 32)).forward / one.layer(square_layer(512, 32)).forward;
  const double many_tiles =
      two.layer(square_layer(512, 512)).forward / one.layer(square_layer(512, 512)).forward;

  EXPECT_GE(single_tile, 1);
  EXPECT_LT(many_tiles, 0.51);  // half, and a fork of 5 us beside 134 ms
}

TEST(CostModel, RanksGrowWithTheCubeOfTheShorterSide) {
  Costs costs = made_up_costs();
  const std::string label = "standard+act_effective_rank";
  for (const std::string pass : {"forward", "backward"}) {
    costs.set("float32 statistics " + label + " " + pass, costs.at("float32 statistics standard " + pass));
  }
  costs.set("float32 spectrum", {1e-9});
  const CostModel plain(costs, Precision::float32, "standard", 1);
  const CostModel ranks(costs, Precision::float32, label, 1);
  const auto added = [&](int width, int batch) {
    LayerWork work = square_layer(width, 256);
    work.batch = batch;
    return ranks.layer(work).forward - plain.layer(work).forward;
  };

  EXPECT_NEAR(added(512, 32), 0, 1e-12);  // in the table
  EXPECT_NEAR(added(512, 256), 1e-9 * (256.0 * 256 * 256 - 8 * 32.0 * 32 * 32), 1e-9);
  EXPECT_NEAR(added(64, 256), 1e-9 * (64.0 * 64 * 64 - 8 * 32.0 * 32 * 32), 1e-9);
  EXPECT_FALSE(has_spectra("standard"));
  EXPECT_EQ(labelled_statistics(label).size(), labelled_statistics("standard").size() + 1);
}

TEST(CostModel, TheFirstLayerHasNoGradientOfItsInput) {
  const Costs costs = made_up_costs();
  const CostModel model(costs, Precision::float32, "standard", 1);
  LayerWork first = square_layer(128, 128);
  first.is_first = true;

  EXPECT_LT(model.layer(first).backward, model.layer(square_layer(128, 128)).backward);
}

class CostCache : public testing::Test {
 protected:
  CostCache() { std::filesystem::remove_all(folder_); }
  ~CostCache() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& text) {
    std::filesystem::create_directories(file_.parent_path());
    std::ofstream(file_) << text;
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / fmt::format("gradflow-costs-{}", getpid());
  std::filesystem::path file_ = folder_ / "gradflow" / "costs.json";
};

TEST_F(CostCache, GivesBackWhatWasKept) {
  const Costs costs = made_up_costs();

  EXPECT_FALSE(write_costs(file_, "machine", costs));

  EXPECT_EQ(read_costs(file_, "machine"), costs);  // JSON keeps every bit of a double
}

TEST_F(CostCache, KnowsNothingOfOtherNumerics) {
  write_costs(file_, "machine", made_up_costs());

  EXPECT_EQ(read_costs(file_, "other numerics"), Costs{});
}

TEST_F(CostCache, DoesNotBelieveACorruptFile) {
  EXPECT_EQ(read_costs(file_, "machine"), Costs{}) << "missing";
  for (const char* text : {"", "{", "[]", R"({"machine": "machine"})", R"({"machine": 1, "seconds": {}})",
                           R"({"machine": "machine", "seconds": {"float32 gram": "fast"}})",
                           R"({"machine": "machine", "seconds": {"float32 gram": [-1]}})",
                           R"({"machine": "machine", "seconds": {"float32 gram": [1, 2, 3]}})"}) {
    write(text);
    EXPECT_EQ(read_costs(file_, "machine"), Costs{}) << text;
  }
}

TEST_F(CostCache, SaysWhyItCannotBeWritten) {
  std::filesystem::create_directories(folder_);
  std::ofstream(folder_ / "gradflow") << "a file where a folder should be";

  const auto problem = write_costs(file_, "machine", made_up_costs());

  ASSERT_TRUE(problem);
  EXPECT_NE(problem->find(file_.string()), std::string::npos);
  EXPECT_TRUE(write_costs({}, "machine", made_up_costs()));
}

TEST(CostMeasurement, MeasuresWhatIsMissingAndNothingElse) {
  CostKinds kinds{Precision::float32, "lean", {"tanh"}, {nn::Distribution::normal}, {"leaky_rnn fed"}};
  Costs costs;
  costs.set("float32 gram", {42});
  costs.set("float32 formed", {43});

  measure_missing(costs, kinds);

  for (const std::string& name : series_of(kinds)) {
    ASSERT_TRUE(costs.has(name)) << name;
    for (const double seconds : costs.at(name)) EXPECT_TRUE(std::isfinite(seconds) && seconds >= 0) << name;
  }
  EXPECT_EQ(costs.at("float32 formed"), std::vector<double>{43});
  // 256 times the multiplications: however fast wide products are, 4 times the seconds.
  EXPECT_GT(costs.at("float32 product forward").back(), 4 * costs.at("float32 product forward").front());
}

}  // namespace
}  // namespace gradflow::experiment
