#include "svg.hpp"

#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "text.hpp"

namespace gradflow::report {
namespace {

std::string points_of(std::span<const Spot> spots) {
  std::string points;
  for (const Spot& spot : spots) {
    fmt::format_to(std::back_inserter(points), "{}{:.1f},{:.1f}", points.empty() ? "" : " ", spot.x, spot.y);
  }
  return points;
}

std::string stroke_of(const Pen& pen) {
  std::string stroke = fmt::format(R"(fill="none" stroke="{}" stroke-width="{}")", pen.colour, pen.width);
  if (!pen.dashes.empty()) stroke += fmt::format(R"( stroke-dasharray="{}")", pen.dashes);
  if (pen.opacity < 1) stroke += fmt::format(R"( stroke-opacity="{}")", pen.opacity);
  return stroke;
}

/// Rounding noise of i * step leaves numbers like 0.30000000000000004.
std::string tick_text(double value) {
  std::string text = fmt::format("{:.6g}", std::abs(value) < 1e-12 ? 0.0 : value);
  if (text.front() == '-') text.replace(0, 1, "\u2212");
  return text;
}

}  // namespace

void Svg::line(Spot from, Spot to, const Pen& pen) {
  const Spot ends[] = {from, to};
  polyline(ends, pen);
}

void Svg::polyline(std::span<const Spot> spots, const Pen& pen) {
  body_ += fmt::format("<polyline {} stroke-linejoin=\"round\" points=\"{}\"/>\n", stroke_of(pen),
                       points_of(spots));
}

void Svg::polygon(std::span<const Spot> spots, const std::string& fill, double opacity) {
  body_ += fmt::format("<polygon fill=\"{}\" fill-opacity=\"{}\" points=\"{}\"/>\n", fill, opacity,
                       points_of(spots));
}

void Svg::rectangle(Spot corner, double width, double height, const std::string& fill,
                    const std::string& border) {
  body_ += fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" stroke=\"{}\"/>\n",
      corner.x, corner.y, width, height, fill, border);
}

void Svg::dot(Spot centre, double radius, const std::string& fill) {
  body_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\"/>\n", centre.x, centre.y,
                       radius, fill);
}

void Svg::text(Spot place, std::string_view words, const Type& type) {
  raw_text(place, escaped(words), type);
}

void Svg::number(Spot place, double value, Notation notation, const Type& type) {
  if (notation == Notation::number) return raw_text(place, tick_text(value), type);
  raw_text(place,
           fmt::format("10<tspan dy=\"{:.1f}\" font-size=\"{:.1f}\">{}</tspan>", -0.35 * type.size,
                       0.75 * type.size, tick_text(value)),
           type);
}

void Svg::raw_text(Spot place, std::string_view markup, const Type& type) {
  const std::string turn =
      type.angle == 0 ? ""
                      : fmt::format(" transform=\"rotate({} {:.1f} {:.1f})\"", type.angle, place.x, place.y);
  body_ += fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" text-anchor=\"{}\" fill=\"{}\" "
      "font-weight=\"{}\"{}>{}</text>\n",
      place.x, place.y, type.size, type.anchor, type.colour, type.weight, turn, markup);
}

std::string Svg::document(double width, double height, std::string_view title) const {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"Helvetica, Arial, sans-serif\">\n<title>{2}</title>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{3}</svg>\n",
      width, height, escaped(title), body_);
}

}  // namespace gradflow::report
