#include "gradflow/report/page.hpp"

#include <regex>
#include <sstream>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gradflow/core/errors.hpp"
#include "report/sample_file.hpp"

namespace gradflow::report {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string html_of(const SampleFile& sample, const std::string& name) {
  std::ostringstream out;
  write_html(sample.write(name), out);
  return out.str();
}

std::string svg_of(const SampleFile& sample, const std::string& name) {
  std::ostringstream out;
  write_profile_svg(sample.write(name), out);
  return out.str();
}

/// Names of elements that are closed in another order than they were opened, or never.
std::vector<std::string> badly_nested(const std::string& xml) {
  static const std::regex tag(R"(<(/?)([a-z]+)[^<>]*?(/?)>)");
  std::vector<std::string> open, bad;
  for (std::sregex_iterator it(xml.begin(), xml.end(), tag), end; it != end; ++it) {
    const std::string name = (*it)[2];
    if ((*it)[3] == "/") continue;
    if ((*it)[1] != "/")
      open.push_back(name);
    else if (!open.empty() && open.back() == name)
      open.pop_back();
    else
      bad.push_back(name);
  }
  bad.insert(bad.end(), open.begin(), open.end());
  return bad;
}

int count(const std::string& text, const std::string& word) {
  int found = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

SampleFile two_activations() {
  SampleFile sample;
  for (const char* activation : {"tanh", "relu"}) {
    for (const double sigma_w : {1.0, 1.5, 2.0}) {
      for (const std::uint64_t seed : {0, 1}) {
        const double slope = 0.1 * (sigma_w - 1.25) + 0.002 * double(seed);
        sample.points.push_back({.activation = activation,
                                 .sigma_w = sigma_w,
                                 .seed = seed,
                                 .log10_norm = straight_line(60, slope)});
      }
    }
  }
  return sample;
}

TEST(APicture, IsAWellFormedDocument) {
  const std::string svg = svg_of(two_activations(), "svg");

  EXPECT_THAT(svg, testing::StartsWith("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_THAT(badly_nested(svg), testing::IsEmpty());
}

TEST(APicture, HasACurveABandAndAPredictionForEveryConfiguration) {
  const std::string svg = svg_of(two_activations(), "curves");

  EXPECT_EQ(count(svg, "stroke-width=\"2.2\""), 6);
  EXPECT_EQ(count(svg, "<polygon"), 6);
  EXPECT_EQ(count(svg, "stroke-dasharray=\"5 4\""), 6 + 1);  // one in the legend
}

TEST(APicture, ClaimsNoCriticalPointForCurvesThatHaveDifferentOnes) {
  SampleFile sample;
  for (const double sigma_w : {1.0, 1.5, 2.0}) sample.points.push_back({.sigma_w = sigma_w});
  const std::string common = svg_of(sample, "common");
  sample.critical_of_sigma_w = true;

  EXPECT_THAT(common, HasSubstr("critical sigma_w = 1.25"));
  EXPECT_THAT(svg_of(sample, "different"), Not(HasSubstr("critical sigma_w")));
}

TEST(APicture, JoinsNoTheoryAcrossKindsZippedWithANumber) {
  SampleFile sample;
  for (const double sigma_w : {1.0, 1.2, 1.4, 1.6}) {
    const bool odd = sigma_w == 1.2 || sigma_w == 1.6;
    sample.points.push_back({.activation = odd ? "relu" : "linear", .sigma_w = sigma_w});
  }

  const std::string html = html_of(sample, "zipped");

  EXPECT_EQ(count(html, "stroke-dasharray=\"6 4\""), 2 + 1);  // one for each kind and one in the legend
  EXPECT_THAT(html,
              AllOf(HasSubstr("activation = linear, critical"), HasSubstr("activation = relu, critical")));
}

TEST(APicture, DrawsZerosAndUndefinedValuesAsGaps) {
  SampleFile sample{.points = {{.log10_norm = straight_line(60, -0.1)}}};
  sample.points[0].log10_norm[20] = -infinity;
  sample.points[0].log10_norm[40] = nan;

  const std::string html = html_of(sample, "gaps");

  EXPECT_EQ(count(html, "stroke-width=\"2.2\""), 3);  // one curve in three pieces
  EXPECT_THAT(html, AllOf(HasSubstr("exact zeros: 1, drawn as gaps"),
                          HasSubstr("undefined values: 1, drawn as gaps")));
  EXPECT_FALSE(std::regex_search(html, std::regex("points=\"[^\"]*(nan|inf)")));
}

TEST(APicture, NeedsAMeasuredPoint) {
  const SampleFile sample{.points = {{.status = store::Status::not_done}}};

  EXPECT_THROW(svg_of(sample, "nothing"), UserError);
}

TEST(ThePage, NestsItsElements) {
  SampleFile sample = two_activations();
  sample.jacobian = true;
  std::string html = html_of(sample, "nested");

  html = std::regex_replace(html, std::regex("<(meta|br)[^>]*>|<!DOCTYPE html>"), "");
  EXPECT_THAT(badly_nested(html), testing::IsEmpty());
}

TEST(ThePage, DrawsTheSpectraOfJacobiansWhereThereAreAny) {
  SampleFile sample = two_activations();
  EXPECT_THAT(html_of(sample, "without"), Not(HasSubstr("Lyapunov")));
  sample.jacobian = true;

  const std::string page = html_of(sample, "spectra");

  EXPECT_THAT(page, AllOf(HasSubstr("<h2>Singular values of the Jacobian"),
                          HasSubstr("<h2>Lyapunov exponents"), HasSubstr("exact zeros: 2")));
}

TEST(ThePage, ShowsAHeatMapOnlyOfTwoKeys) {
  SampleFile one_key = two_activations();
  one_key.points.resize(6);

  EXPECT_THAT(html_of(two_activations(), "two_keys"), HasSubstr("Where gradients vanish and explode"));
  EXPECT_THAT(html_of(one_key, "one_key"), Not(HasSubstr("Where gradients vanish and explode")));
}

TEST(ThePage, ShowsAHeatMapForEveryValueOfAKeyWithoutAnAxis) {
  SampleFile sample;
  for (const char* activation : {"tanh", "relu"}) {
    for (const double slope : {0.1, 0.2, 0.3}) {
      for (const double sigma_w : {1.0, 1.5, 2.0, 2.5}) {
        sample.points.push_back({.activation = activation, .sigma_w = sigma_w, .slope = slope});
      }
    }
  }

  const std::string html = html_of(sample, "three_keys");

  EXPECT_EQ(count(html, "<h2>Where gradients vanish and explode: activation = "), 2);
  EXPECT_THAT(html, AllOf(HasSubstr("explode: activation = tanh"), HasSubstr("explode: activation = relu")));
}

TEST(ThePage, EscapesEveryTextOfTheFile) {
  SampleFile sample = two_activations();
  sample.title = "<script>alert(1)</script>";
  for (SamplePoint& point : sample.points) point.activation += "\"<b>&";

  const std::string html = html_of(sample, "escaped");

  EXPECT_THAT(html, Not(HasSubstr("<script>")));
  EXPECT_THAT(html, Not(HasSubstr("<b>")));
  EXPECT_THAT(html, AllOf(HasSubstr("&lt;script&gt;alert(1)"), HasSubstr("tanh&quot;&lt;b&gt;&amp;")));
}

TEST(ThePage, IsCompleteWhilePointsAreMissing) {
  SampleFile sample = two_activations();
  sample.points[0].status = store::Status::failed;
  sample.points[1].status = store::Status::not_done;

  const std::string html = html_of(sample, "missing");

  EXPECT_THAT(html, AllOf(HasSubstr("Points measured: 10 of 12, failed: 1, still missing: 1"),
                          HasSubstr("curves not measured yet: 1"), HasSubstr("failed at layer 7: "),
                          testing::EndsWith("</html>\n")));
}

TEST(ThePage, IsCompleteBeforeAnyPointIsMeasured) {
  SampleFile sample = two_activations();
  for (SamplePoint& point : sample.points) point.status = store::Status::not_done;

  EXPECT_THAT(html_of(sample, "nothing_yet"),
              AllOf(HasSubstr("Points measured: 0 of 12"), testing::EndsWith("</html>\n")));
}

TEST(ThePage, DrawsNetworksOfDifferentDepth) {
  const SampleFile sample{.points = {{.sigma_w = 1, .log10_norm = straight_line(20, -0.1)},
                                     {.sigma_w = 2, .log10_norm = straight_line(70, -0.1)}}};

  const std::string html = html_of(sample, "ragged");

  EXPECT_EQ(count(html, "stroke-width=\"2.2\""), 2);
  EXPECT_EQ(count(html, "-0.1</td>"), 4);  // growth and theory of both
}

TEST(ThePage, StaysSmallForHundredsOfConfigurations) {
  SampleFile sample;
  for (int i = 0; i < 400; ++i) {
    sample.points.push_back({.activation = fmt::format("phi_{}", i % 20),
                             .sigma_w = 1 + 0.1 * (i / 20),
                             .log10_norm = straight_line(1000, -0.01)});
  }

  const std::string html = html_of(sample, "many");

  EXPECT_LT(html.size(), 2'000'000u);
  EXPECT_EQ(count(html, "stroke-width=\"2.2\""), 13 * 4);
  EXPECT_THAT(html, HasSubstr("13 of 20 values of sigma_w are drawn, evenly chosen"));
}

TEST(Page, DrawsAHistogramByLayerWhereTheFileHasOne) {
  SampleFile sample = two_activations();
  const std::string without = html_of(sample, "without");
  sample.magnitudes = true;

  const std::string page = html_of(sample, "with");

  EXPECT_THAT(without, Not(HasSubstr("Magnitudes of the gradient")));
  EXPECT_THAT(page, AllOf(HasSubstr("Magnitudes of the gradient by layer"), HasSubstr("drawn for point 0")));
  // The octaves that hold something, and no empty one beyond them.
  const std::string figure = page.substr(page.find("<h2>Magnitudes"));
  const std::string drawn = figure.substr(0, figure.find("</figure>"));
  EXPECT_THAT(drawn, AllOf(HasSubstr(">-6<"), HasSubstr(">-5<")));
  EXPECT_THAT(drawn, AllOf(Not(HasSubstr(">-7<")), Not(HasSubstr(">-4<"))));
  EXPECT_EQ(count(page, "<figure"), count(without, "<figure") + 1);
  EXPECT_THAT(badly_nested(drawn.substr(drawn.find("<svg"), drawn.find("</svg>") + 6 - drawn.find("<svg"))),
              testing::IsEmpty());
}

TEST(Page, LeavesAHistogramOfAnUnmeasuredFileOut) {
  SampleFile sample = two_activations();
  sample.magnitudes = true;
  for (SamplePoint& point : sample.points) point.status = store::Status::not_done;

  EXPECT_THAT(html_of(sample, "unmeasured"), Not(HasSubstr("Magnitudes")));
}

}  // namespace
}  // namespace gradflow::report
