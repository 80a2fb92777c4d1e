#include "panel.hpp"

#include <cmath>

namespace gradflow::report {
namespace {

constexpr auto grid_colour = "#e6e6e6";
constexpr auto axis_colour = "#555555";
constexpr double tick_size = 11, label_size = 13;

/// Calls draw(first, last) for every stretch of indices [first, last) at which all the values are finite.
template <class Draw>
void for_each_stretch(std::size_t count, std::span<const double> a, std::span<const double> b, Draw draw) {
  std::size_t first = 0;
  for (std::size_t i = 0; i <= count; ++i) {
    if (i < count && std::isfinite(a[i]) && std::isfinite(b[i])) continue;
    if (i > first) draw(first, i);
    first = i + 1;
  }
}

}  // namespace

Panel::Panel(Svg& svg, Frame frame, Range x, Range y)
    : svg_(svg), frame_(frame), x_{x, frame.left, frame.right()}, y_{y, frame.bottom(), frame.top} {
  svg_.rectangle({frame.left, frame.top}, frame.width, frame.height, "none", axis_colour);
}

void Panel::draw_x_axis(const AxisStyle& style) {
  for (const double value : ticks(x_.values, int(frame_.width / 70), style.notation)) {
    svg_.line({x_(value), frame_.top}, {x_(value), frame_.bottom()}, {grid_colour});
    svg_.line({x_(value), frame_.bottom()}, {x_(value), frame_.bottom() + 4}, {axis_colour});
    svg_.number({x_(value), frame_.bottom() + 17}, value, style.notation,
                {.size = tick_size, .anchor = "middle"});
  }
  svg_.text({frame_.left + frame_.width / 2, frame_.bottom() + 36}, style.label,
            {.size = label_size, .anchor = "middle"});
}

void Panel::draw_named_x_axis(const std::string& label, const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    svg_.text({x_(double(i)), frame_.bottom() + 16}, names[i],
              {.size = tick_size, .anchor = "end", .angle = -35});
  }
  svg_.text({frame_.left + frame_.width / 2, frame_.bottom() + 70}, label,
            {.size = label_size, .anchor = "middle"});
}

void Panel::draw_y_axis(const AxisStyle& style) {
  for (const double value : ticks(y_.values, int(frame_.height / 42), style.notation)) {
    svg_.line({frame_.left, y_(value)}, {frame_.right(), y_(value)}, {grid_colour});
    svg_.line({frame_.left - 4, y_(value)}, {frame_.left, y_(value)}, {axis_colour});
    svg_.number({frame_.left - 7, y_(value) + 4}, value, style.notation,
                {.size = tick_size, .anchor = "end"});
  }
  svg_.text({frame_.left - 50, frame_.top + frame_.height / 2}, style.label,
            {.size = label_size, .anchor = "middle", .angle = -90});
}

void Panel::draw_title(const std::string& title) {
  svg_.text({frame_.left + frame_.width / 2, frame_.top - 9}, title,
            {.size = label_size, .anchor = "middle", .weight = "bold"});
}

void Panel::curve(std::span<const double> x, std::span<const double> y, const Pen& pen) {
  for_each_stretch(x.size(), x, y, [&](std::size_t first, std::size_t last) {
    std::vector<Spot> spots;
    for (std::size_t i = first; i < last; ++i) spots.push_back(at(x[i], y[i]));
    if (spots.size() == 1) return svg_.dot(spots.front(), pen.width, pen.colour);
    svg_.polyline(spots, pen);
  });
}

void Panel::band(std::span<const double> x, std::span<const double> low, std::span<const double> high,
                 const std::string& colour) {
  for_each_stretch(x.size(), low, high, [&](std::size_t first, std::size_t last) {
    std::vector<Spot> spots;
    for (std::size_t i = first; i < last; ++i) spots.push_back(at(x[i], low[i]));
    for (std::size_t i = last; i-- > first;) spots.push_back(at(x[i], high[i]));
    svg_.polygon(spots, colour, 0.22);
  });
}

void Panel::error_bar(double x, double low, double high, const std::string& colour) {
  svg_.line(at(x, low), at(x, high), {colour, 1.4});
}

void Panel::dot(double x, double y, const std::string& colour) { svg_.dot(at(x, y), 3.4, colour); }

void Panel::upright(double x, const Pen& pen) {
  svg_.line({x_(x), frame_.top}, {x_(x), frame_.bottom()}, pen);
}

void Panel::level(double y, const Pen& pen) { svg_.line({frame_.left, y_(y)}, {frame_.right(), y_(y)}, pen); }

}  // namespace gradflow::report
