#include "gradflow/report/table.hpp"

#include <algorithm>
#include <set>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "gradflow/core/errors.hpp"
#include "report/sample_file.hpp"

namespace gradflow::report {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::size_t widest_line = 120;

using Print = void (*)(const store::ResultFile&, std::ostream&, std::optional<std::uint64_t>);

std::string printed(Print print, const SampleFile& sample, std::optional<std::uint64_t> point = {}) {
  std::ostringstream out;
  print(sample.write("table"), out, point);
  return out.str();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

SampleFile two_seeds() {
  return {.points = {{.seed = 0, .log10_norm = straight_line(100, -0.1)},
                     {.seed = 1, .log10_norm = straight_line(100, -0.3)},
                     {.sigma_w = 2, .status = store::Status::failed}}};
}

TEST(TheTable, HasALineForEveryConfiguration) {
  const std::string table = printed(print_table, two_seeds());

  EXPECT_THAT(table, HasSubstr("2 of 3 points done, 1 failed, 0 missing"));
  EXPECT_THAT(table, HasSubstr("\nall with activation = tanh\n"));
  EXPECT_THAT(table,
              testing::ContainsRegex("\n"
                                     R"(sigma_w = 1 +2/2 +-0\.2 \+- 0\.1 +-0\.1 +1\.09 +0\.631 +vanishes)"));
  EXPECT_THAT(table, testing::ContainsRegex("\nsigma_w = 2 +0/1 .*unmeasured"));
}

TEST(TheTable, IsNeverWiderThanATerminal) {
  SampleFile sample = two_seeds();
  sample.points[0].activation = std::string(200, 'x');

  for (const std::optional<std::uint64_t> point : {std::optional<std::uint64_t>(), {1}}) {
    for (const std::string& line : lines_of(printed(print_table, sample, point))) {
      EXPECT_LE(line.size(), widest_line) << line;
    }
  }
}

TEST(TheTable, OfAPointHasItsDirections) {
  SampleFile sample = two_seeds();
  EXPECT_THAT(printed(print_table, sample, 0), testing::Not(HasSubstr("direction")));
  sample.jacobian = true;

  const std::string table = printed(print_table, sample, 0);

  EXPECT_THAT(table, testing::ContainsRegex("direction +log10 s +ln .R_ii. +theory\n"));
  EXPECT_THAT(table, testing::ContainsRegex("\n +1 +12.25 +0.5 +0.625\n +2 +-7.75 +-0.5 +-0.375\n"));
  EXPECT_THAT(table, testing::ContainsRegex("\n +3 +-inf +-inf +-1.375\n"));
  EXPECT_THAT(printed(print_json, sample, 0), HasSubstr("\"lyapunov_exponent\""));
}

/// What stands in the column of configurations.
std::vector<std::string> printed_labels(const SampleFile& sample) {
  const std::vector<std::string> lines = lines_of(printed(print_table, sample));
  const auto heading =
      std::ranges::find_if(lines, [](const auto& line) { return line.starts_with("config"); });
  const std::size_t width = heading->find("    seeds");
  std::vector<std::string> labels;
  for (auto line = heading + 1; !line->empty(); ++line) labels.push_back(line->substr(0, width));
  return labels;
}

TEST(TheTable, TellsItsRowsApart) {
  const std::string name(60, 'x');
  SampleFile ends_differ, middles_differ;
  for (const double sigma_w : {1.0, 2.0, 3.0}) {
    ends_differ.points.push_back({.activation = "a" + name, .sigma_w = sigma_w});
    ends_differ.points.push_back({.activation = "b" + name, .sigma_w = sigma_w});
    middles_differ.points.push_back({.activation = name + std::to_string(int(sigma_w)) + name});
  }

  for (const SampleFile& sample : {ends_differ, middles_differ}) {
    const std::vector<std::string> labels = printed_labels(sample);
    const std::set<std::string> distinct(labels.begin(), labels.end());
    EXPECT_EQ(distinct.size(), labels.size());
  }
  EXPECT_EQ(printed_labels(ends_differ).size(), 6u);
  EXPECT_EQ(printed_labels(middles_differ).size(), 3u);
}

TEST(TheTable, OfAPointShowsItsFirstAndLastLayerAndSomeBetween) {
  const std::vector<std::string> lines = lines_of(printed(print_table, two_seeds(), 1));

  EXPECT_THAT(lines.front(), HasSubstr("point 1: activation = tanh, "));
  EXPECT_EQ(lines.size(), 3 + 2 + 22u);  // name, status, an empty line; two of headings; layers
  EXPECT_THAT(lines[5], testing::MatchesRegex(" +1 +-29\\.7 +-9\\.9"));
  EXPECT_THAT(lines.back(), testing::StartsWith("   100 "));
}

TEST(TheTable, OfAFailedPointSaysWhereItFailed) {
  EXPECT_THAT(printed(print_table, two_seeds(), 2), HasSubstr("failed at layer 7: "));
}

TEST(TheTable, RefusesAPointThatIsNotThere) {
  try {
    printed(print_table, two_seeds(), 3);
    FAIL() << "no error";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("has no point 3; its points are 0 to 2"));
  }
}

TEST(TheTable, WritesNothingThatATerminalObeys) {
  SampleFile sample = two_seeds();
  sample.title = "red \x1b[31m";
  sample.points[1].activation = "tanh\x1b]0;title\x07";
  sample.points[1].slope = 0.1;
  sample.slope_key = "slope\x1b[31m";

  for (const std::optional<std::uint64_t> point : {std::optional<std::uint64_t>(), {1}}) {
    EXPECT_THAT(printed(print_table, sample, point), testing::Not(testing::ContainsRegex("[\x1b\x07]")));
  }
}

TEST(Json, HoldsWhatTheTableShows) {
  const auto json = nlohmann::json::parse(printed(print_json, two_seeds()));

  EXPECT_EQ(json["done"], 2);
  const auto& first = json["configurations"][0];
  EXPECT_EQ(first["values"]["sigma_w"], 1.0);
  EXPECT_EQ(first["points"], (std::vector<int>{0, 1}));
  EXPECT_NEAR(first["log10_growth_per_layer"].get<double>(), -0.2, 1e-12);  // rounding of a straight fit
  EXPECT_EQ(first["verdict"], "vanishes");
  EXPECT_TRUE(json["configurations"][1]["log10_growth_per_layer"].is_null());
}

TEST(Json, IsValidWhateverTheFileHolds) {
  SampleFile sample = two_seeds();
  sample.title = sample.slope_key = "broken \xff\x1b";
  for (SamplePoint& point : sample.points) point.slope = 0.1;

  const auto json = nlohmann::json::parse(printed(print_json, sample));

  EXPECT_EQ(json["title"], "broken ??");
  EXPECT_EQ(json["configurations"][0]["values"]["broken ??"], 0.1);
}

TEST(Json, TellsAnExactZeroFromAnUndefinedValue) {
  SampleFile sample = two_seeds();
  sample.points[0].log10_norm.front() = -infinity;
  sample.points[0].log10_norm.back() = nan;

  const auto json = nlohmann::json::parse(printed(print_json, sample, 0));

  EXPECT_EQ(json["layer"].back(), 100);
  EXPECT_EQ(json["dgrad_log10_norm_mean"].front(), "-inf");
  EXPECT_TRUE(json["dgrad_log10_norm_mean"].back().is_null());
}

}  // namespace
}  // namespace gradflow::report
