#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gradflow/report/plane.hpp"
#include "gradflow/report/verdict.hpp"
#include "scale.hpp"

namespace gradflow::report {

/// Pixels: every figure is as wide as the page's column, and keeps room for its labels around the panels.
inline constexpr double figure_width = 980;
struct Margins {
  double left, top, bottom;
};

/// A drawing and what it could not show; either may be empty.
struct Figure {
  std::string svg;
  std::vector<std::string> notes;
};

/// One statistic drawn by layer, or by index.
struct ProfileKind {
  std::string_view heading;
  std::string column;
  std::string theory;  ///< column drawn dashed; empty: none
  bool anchored;  ///< theory knows the profile up to a factor: it starts where the measurement does, at the
                  ///< output
  Notation notation;
  std::string label;         ///< of the y axis
  std::string_view reading;  ///< how to read the picture
  bool by_index = false;     ///< of a Jacobian: directions in place of layers
};

/// The depth profiles that a file has; the gradient's is the first.
std::vector<ProfileKind> profile_kinds(const store::ResultFile& file);

/// At most this many curves in a panel and panels in a figure, evenly chosen.
inline constexpr std::size_t most_curves = 13, most_panels = 4;

/// One curve per configuration with its band over seeds; one panel for each value of the second key.
Figure draw_profiles(const store::ResultFile& file, const std::vector<Finding>& findings, const Plane& plane,
                     const ProfileKind& kind);

/// One statistic with a further dimension, drawn by layer as colour.
struct MapKind {
  std::string_view heading;
  std::string column;
  std::string_view label;  ///< of the further dimension
  bool is_signed;
  std::string_view reading;  ///< how to read the picture
};

/// Those that a file has.
std::vector<MapKind> map_kinds(const store::ResultFile& file);

/// Layers across, the further dimension up, of the first measured point. Empty if there is none, or nothing
/// but zeros.
Figure draw_layer_map(const store::ResultFile& file, const std::vector<Finding>& findings,
                      const MapKind& kind);

/// Growth per layer against the first key, one curve for each value of the second. Empty unless a key is
/// swept.
Figure draw_growth(const std::vector<Finding>& findings, const Plane& plane);

/// At most this many heat maps on a page, evenly chosen.
inline constexpr std::size_t most_heat_maps = 12;

/// Growth per layer over both keys, as colour; one scale of colours for all planes of the findings. Empty
/// unless two keys are swept.
Figure draw_heat_map(const std::vector<Finding>& findings, const Plane& plane);

/// The prediction for one row of the plane, if `across` is sigma_w; else NaN.
double critical_sigma_w(const std::vector<Finding>& findings, const Plane& plane, std::size_t up_index);

}  // namespace gradflow::report
