#pragma once

#include <span>
#include <string>
#include <vector>

#include "svg.hpp"

namespace gradflow::report {

/// A rectangle in pixels.
struct Frame {
  double left = 0, top = 0, width = 0, height = 0;

  double right() const { return left + width; }
  double bottom() const { return top + height; }
};

/// What is written on one axis.
struct AxisStyle {
  std::string label;
  Notation notation = Notation::number;
};

/// Two axes with ticks, a grid and labels inside a drawing, and the curves in them.
class Panel {
 public:
  /// @pre neither range is empty or has length 0
  Panel(Svg& svg, Frame frame, Range x, Range y);

  void draw_x_axis(const AxisStyle& style);
  void draw_named_x_axis(const std::string& label,
                         const std::vector<std::string>& names);  ///< at 0, 1, 2, ...
  void draw_y_axis(const AxisStyle& style);
  void draw_title(const std::string& title);

  /// Draws a curve; values that are not finite leave a gap.
  void curve(std::span<const double> x, std::span<const double> y, const Pen& pen);
  /// Fills between two curves.
  void band(std::span<const double> x, std::span<const double> low, std::span<const double> high,
            const std::string& colour);
  void error_bar(double x, double low, double high, const std::string& colour);
  void dot(double x, double y, const std::string& colour);
  void upright(double x, const Pen& pen);
  void level(double y, const Pen& pen);

  const Frame& frame() const { return frame_; }
  Spot at(double x, double y) const { return {x_(x), y_(y)}; }

 private:
  Svg& svg_;
  Frame frame_;
  Scale x_, y_;
};

}  // namespace gradflow::report
