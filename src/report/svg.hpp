#pragma once

#include <span>
#include <string>
#include <string_view>

#include "scale.hpp"

namespace gradflow::report {

/// A place in pixels, y downwards.
struct Spot {
  double x = 0;
  double y = 0;
};

/// How a line is drawn.
struct Pen {
  std::string colour;
  double width = 1;
  std::string dashes{};  ///< "5 3"; empty: unbroken
  double opacity = 1;
};

/// How words are drawn.
struct Type {
  double size = 12;
  std::string_view anchor = "start";  ///< start, middle, end
  std::string_view colour = "#222222";
  std::string_view weight = "normal";
  double angle = 0;  ///< degrees, clockwise
};

/// An SVG drawing, element by element. Texts are escaped here.
class Svg {
 public:
  void line(Spot from, Spot to, const Pen& pen);
  void polyline(std::span<const Spot> spots, const Pen& pen);
  void polygon(std::span<const Spot> spots, const std::string& fill, double opacity);
  void rectangle(Spot corner, double width, double height, const std::string& fill,
                 const std::string& border = "none");
  void dot(Spot centre, double radius, const std::string& fill);
  void text(Spot place, std::string_view words, const Type& type);
  /// A number of an axis; a power of ten gets a raised exponent.
  void number(Spot place, double value, Notation notation, const Type& type);

  /// The drawing as a document of its own, which may also stand inside HTML.
  std::string document(double width, double height, std::string_view title) const;

 private:
  void raw_text(Spot place, std::string_view markup, const Type& type);
  std::string body_;
};

}  // namespace gradflow::report
