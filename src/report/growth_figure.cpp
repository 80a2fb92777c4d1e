#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "colour.hpp"
#include "even.hpp"
#include "figure.hpp"
#include "panel.hpp"
#include "text.hpp"

namespace gradflow::report {
namespace {

constexpr double growth_legend_width = 220, growth_height = 360;
constexpr Margins growth_margins{.left = 84, .top = 20, .bottom = 50};
constexpr std::size_t most_lines = 6;
constexpr double log_axis_ratio = 50;  ///< numbers that span more than this get a logarithmic axis

/// Growth along the first key, for one value of the second.
struct Series {
  std::string name;
  std::string colour;
  double critical;  ///< value of `across`, NaN if there is none
  std::vector<double> x, growth, error, theory;
};

/// Where the values of the first key stand on the axis.
std::vector<double> places_of(const PlaneAxis& axis, bool logarithmic) {
  std::vector<double> places;
  for (std::size_t i = 0; i < axis.size(); ++i) {
    if (!axis.is_numeric())
      places.push_back(double(i));
    else
      places.push_back(logarithmic ? std::log10(axis.numbers[i]) : axis.numbers[i]);
  }
  return places;
}

Series series_of(const std::vector<Finding>& findings, const Plane& plane, std::size_t up_index,
                 const std::vector<double>& places) {
  Series series{plane.up.texts[up_index], "", critical_sigma_w(findings, plane, up_index), {}, {}, {}, {}};
  for (std::size_t i = 0; i < plane.across.size(); ++i) {
    const std::optional<std::size_t> index = plane.at(up_index, i);
    if (!index) continue;
    const Growth& growth = findings[*index].verdict.growth;
    series.x.push_back(places[i]);
    series.growth.push_back(growth.log10_per_layer);
    series.error.push_back(growth.standard_error);
    series.theory.push_back(growth.theory);
  }
  return series;
}

double drawn_error(const Series& series, std::size_t i) {
  return std::isfinite(series.error[i]) ? series.error[i] : 0;
}

void draw(Panel& panel, const Series& series, bool connected) {
  if (connected) panel.curve(series.x, series.theory, {series.colour, 1.4, "6 4"});
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    if (!std::isfinite(series.growth[i])) continue;
    const double error = drawn_error(series, i);
    panel.error_bar(series.x[i], series.growth[i] - error, series.growth[i] + error, series.colour);
    panel.dot(series.x[i], series.growth[i], series.colour);
  }
}

void draw_legend(Svg& svg, double left, const std::string& key, const std::vector<Series>& all,
                 bool connected) {
  double y = growth_margins.top + 10;
  if (!key.empty()) svg.text({left, y}, key, {.weight = "bold"});
  for (const Series& series : all) {
    y += 19;
    svg.dot({left + 11, y - 4}, 3.4, series.colour);
    svg.text({left + 29, y}, series.name.empty() ? "measured" : series.name, {});
    if (!std::isfinite(series.critical)) continue;
    y += 15;
    svg.text({left + 29, y}, fmt::format("critical sigma_w = {}", figures(series.critical, 4)),
             {.size = 11, .colour = "#555555"});
  }
  y += 26;
  svg.text({left, y}, "bars: standard error over seeds", {.size = 11});
  if (!connected) return;
  svg.line({left, y + 14}, {left + 22, y + 14}, {"#444444", 1.4, "6 4"});
  svg.text({left + 29, y + 18}, "theory", {.size = 11});
  if (std::ranges::none_of(all, [](const Series& series) { return std::isfinite(series.critical); })) return;
  svg.line({left, y + 32}, {left + 22, y + 32}, {"#444444", 1.2, "1.5 3"});
  svg.text({left + 29, y + 36}, "critical sigma_w", {.size = 11});
}

void draw_frame(Panel& panel, Svg& svg, const Plane& plane, bool logarithmic) {
  if (plane.across.is_numeric()) {
    panel.draw_x_axis({plane.across.key, logarithmic ? Notation::power_of_ten : Notation::number});
  } else {
    panel.draw_named_x_axis(plane.across.key, plane.across.texts);
  }
  panel.draw_y_axis({"log10 growth of |dE/dz| per layer", Notation::number});
  panel.level(0, {"#333333", 1.2});
  const Frame& frame = panel.frame();
  svg.text({frame.left + 8, frame.top + 18}, "explodes on the way to the input",
           {.size = 11, .colour = "#777777"});
  svg.text({frame.right() - 8, frame.bottom() - 9}, "vanishes on the way to the input",
           {.size = 11, .anchor = "end", .colour = "#777777"});
}

bool is_logarithmic(const PlaneAxis& axis) {
  return axis.is_numeric() && axis.numbers.front() > 0 &&
         axis.numbers.back() / axis.numbers.front() > log_axis_ratio;
}

std::vector<Series> every_series(const std::vector<Finding>& findings, const Plane& plane) {
  const std::vector<double> places = places_of(plane.across, is_logarithmic(plane.across));
  std::vector<Series> all;
  for (const std::size_t up_index : evenly_chosen(plane.up.size(), most_lines)) {
    all.push_back(series_of(findings, plane, up_index, places));
    all.back().colour = distinct_colour(all.size() - 1);
  }
  return all;
}

Range growths_of(const std::vector<Series>& all) {
  Range range;
  range.include(0);
  for (const Series& series : all) {
    range.include(series.theory);
    for (std::size_t i = 0; i < series.growth.size(); ++i) {
      range.include(series.growth[i] - drawn_error(series, i));
      range.include(series.growth[i] + drawn_error(series, i));
    }
  }
  return range;
}

void draw_critical(Panel& panel, const Series& series, const Range& x, bool logarithmic) {
  const double place = logarithmic ? std::log10(series.critical) : series.critical;
  if (place > x.low && place < x.high) panel.upright(place, {series.colour, 1.2, "1.5 3"});
}

}  // namespace

double critical_sigma_w(const std::vector<Finding>& findings, const Plane& plane, std::size_t up_index) {
  if (plane.across.key != "sigma_w") return Verdict::unknown;
  double critical = Verdict::unknown;
  for (std::size_t i = 0; i < plane.across.size(); ++i) {
    const std::optional<std::size_t> index = plane.at(up_index, i);
    if (!index || !std::isfinite(findings[*index].verdict.critical_sigma_w)) continue;
    const double here = findings[*index].verdict.critical_sigma_w;
    if (std::isfinite(critical) && here != critical) return Verdict::unknown;
    critical = here;
  }
  return critical;
}

Figure draw_growth(const std::vector<Finding>& findings, const Plane& plane) {
  if (plane.across.size() < 2) return {};
  const bool numeric = plane.across.is_numeric(), logarithmic = is_logarithmic(plane.across);
  const std::vector<Series> all = every_series(findings, plane);
  Range x;
  for (const Series& series : all) x.include(series.x);
  x = x.widened(1e-6, 0.03);

  Svg svg;
  const Frame frame{growth_margins.left, growth_margins.top,
                    figure_width - growth_legend_width - growth_margins.left, growth_height};
  Panel panel(svg, frame, x, growths_of(all).widened(1e-6, 0.08));
  draw_frame(panel, svg, plane, logarithmic);
  for (const Series& series : all) draw_critical(panel, series, x, logarithmic);
  for (const Series& series : all) draw(panel, series, numeric);
  draw_legend(svg, frame.right() + 22, plane.up.key, all, numeric);

  Figure figure{svg.document(figure_width, frame.bottom() + growth_margins.bottom + (numeric ? 0 : 34),
                             "Growth of the gradient per layer"),
                {}};
  if (!plane.held.empty()) figure.notes.push_back("drawn for " + plane.held);
  if (all.size() < plane.up.size()) {
    figure.notes.push_back(fmt::format("{} of {} values of {} are drawn, evenly chosen", all.size(),
                                       plane.up.size(), plane.up.key));
  }
  return figure;
}

}  // namespace gradflow::report
