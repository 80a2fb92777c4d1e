#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "colour.hpp"
#include "even.hpp"
#include "figure.hpp"
#include "svg.hpp"
#include "text.hpp"

namespace gradflow::report {
namespace {

constexpr double bar_width = 150;
constexpr Margins map_margins{.left = 130, .top = 16, .bottom = 58};
constexpr std::size_t most_columns = 120, most_rows = 60, most_labels = 16;
constexpr auto unknown_colour = "#d0d0d0", dead_colour = "#444444";

class HeatMap {
 public:
  HeatMap(const std::vector<Finding>& findings, const Plane& plane);
  Figure draw();

 private:
  double share_of(double growth) const;  ///< -1 to 1
  std::string ground_of(const Verdict& verdict) const;
  void draw_cell(std::size_t row, std::size_t column);
  void draw_critical(std::size_t row);
  void draw_labels();
  void draw_colour_bar();
  /// Numbers ascend from the bottom, names are read from the top.
  Spot corner(std::size_t row, std::size_t column) const {
    const std::size_t from_top = plane_.up.is_numeric() ? rows_.size() - 1 - row : row;
    return {map_margins.left + double(column) * cell_width_,
            map_margins.top + double(from_top) * cell_height_};
  }
  bool has_numbers() const { return cell_width_ >= 46 && cell_height_ >= 18; }
  double bottom() const { return map_margins.top + double(rows_.size()) * cell_height_; }

  const std::vector<Finding>& findings_;
  const Plane& plane_;
  std::vector<std::size_t> columns_, rows_;
  double cell_width_, cell_height_;
  double limit_ = 0;  ///< largest magnitude of a growth
  bool any_critical_ = false, any_unknown_ = false, any_dead_ = false;
  Svg svg_;
};

HeatMap::HeatMap(const std::vector<Finding>& findings, const Plane& plane)
    : findings_(findings),
      plane_(plane),
      columns_(evenly_chosen(plane.across.size(), most_columns)),
      rows_(evenly_chosen(plane.up.size(), most_rows)),
      cell_width_((figure_width - map_margins.left - bar_width) / double(columns_.size())),
      cell_height_(std::clamp(360 / double(rows_.size()), 6.0, 46.0)) {
  for (const Finding& finding : findings) {
    const double growth = std::abs(finding.verdict.growth.log10_per_layer);
    if (std::isfinite(growth)) limit_ = std::max(limit_, growth);
  }
}

// The square root spreads the colours where it matters: around zero, where networks can be trained.
double HeatMap::share_of(double growth) const {
  return limit_ == 0 ? 0 : std::copysign(std::sqrt(std::abs(growth) / limit_), growth);
}

std::string HeatMap::ground_of(const Verdict& verdict) const {
  if (verdict.fate == Fate::dead) return dead_colour;
  const double growth = verdict.growth.log10_per_layer;
  return std::isfinite(growth) ? signed_colour(share_of(growth)) : unknown_colour;
}

void HeatMap::draw_cell(std::size_t row, std::size_t column) {
  const std::optional<std::size_t> index = plane_.at(rows_[row], columns_[column]);
  const Verdict verdict = index ? findings_[*index].verdict : Verdict{};
  const Spot place = corner(row, column);
  svg_.rectangle(place, cell_width_, cell_height_, ground_of(verdict), cell_width_ > 8 ? "#ffffff" : "none");
  const double growth = verdict.growth.log10_per_layer;
  any_unknown_ |= verdict.fate != Fate::dead && !std::isfinite(growth);
  any_dead_ |= verdict.fate == Fate::dead;
  if (!has_numbers() || !std::isfinite(growth) || verdict.fate == Fate::dead) return;
  const std::string ink = ink_on_signed_colour(share_of(growth));
  svg_.text({place.x + cell_width_ / 2, place.y + cell_height_ / 2 + 4}, fmt::format("{:+.2g}", growth),
            {.size = 11, .anchor = "middle", .colour = ink});
}

/// Marks the critical value between the centres of the cells it lies between.
void HeatMap::draw_critical(std::size_t row) {
  const double critical = critical_sigma_w(findings_, plane_, rows_[row]);
  const std::vector<double>& numbers = plane_.across.numbers;
  for (std::size_t i = 0; i + 1 < columns_.size(); ++i) {
    const double left = numbers[columns_[i]], right = numbers[columns_[i + 1]];
    if (!(critical >= left && critical < right)) continue;
    const double x = corner(row, i).x + cell_width_ * (0.5 + (critical - left) / (right - left));
    const double top = corner(row, i).y, bottom_edge = top + cell_height_;
    const double stroke = has_numbers() ? cell_height_ / 4 : cell_height_ / 2;
    svg_.line({x, top}, {x, top + stroke}, {"#000000", 2.4});
    svg_.line({x, bottom_edge - stroke}, {x, bottom_edge}, {"#000000", 2.4});
    any_critical_ = true;
  }
}

void HeatMap::draw_labels() {
  for (const std::size_t i : every_nth(columns_.size(), most_labels)) {
    svg_.text({corner(0, i).x + cell_width_ / 2, bottom() + 17}, plane_.across.texts[columns_[i]],
              {.size = 11, .anchor = "middle"});
  }
  for (const std::size_t i : every_nth(rows_.size(), most_labels)) {
    svg_.text({map_margins.left - 8, corner(i, 0).y + cell_height_ / 2 + 4}, plane_.up.texts[rows_[i]],
              {.size = 11, .anchor = "end"});
  }
  const double middle_x = map_margins.left + cell_width_ * double(columns_.size()) / 2;
  svg_.text({middle_x, bottom() + 38}, plane_.across.key, {.size = 13, .anchor = "middle"});
  svg_.text({22, (map_margins.top + bottom()) / 2}, plane_.up.key,
            {.size = 13, .anchor = "middle", .angle = -90});
}

void HeatMap::draw_colour_bar() {
  constexpr int steps = 48;
  constexpr double height = 150, width = 16;
  const double left = figure_width - bar_width + 26;
  for (int i = 0; i < steps; ++i) {
    const double share = 1 - 2 * (i + 0.5) / steps;
    svg_.rectangle({left, map_margins.top + height * i / steps}, width, height / steps + 0.5,
                   signed_colour(share));
  }
  for (const double share : {1.0, 0.5, 0.0, -0.5, -1.0}) {
    const double y = map_margins.top + height * (1 - share) / 2;
    svg_.line({left + width, y}, {left + width + 4, y}, {"#555555"});
    svg_.text({left + width + 8, y + 4}, figures(std::copysign(share * share, share) * limit_, 2),
              {.size = 11});
  }
  double y = map_margins.top + height + 22;
  const auto note = [&](const std::string& colour, double width_of_mark, std::string_view words) {
    svg_.rectangle({left, y - 10}, width_of_mark, 12, colour);
    svg_.text({left + 18, y}, words, {.size = 11});
    y += 17;
  };
  if (any_unknown_) note(unknown_colour, 12, "not measured");
  if (any_dead_) note(dead_colour, 12, "dead");
  if (any_critical_) note("#000000", 2.4, "theory: critical");
}

Figure HeatMap::draw() {
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    for (std::size_t column = 0; column < columns_.size(); ++column) draw_cell(row, column);
    draw_critical(row);
  }
  draw_labels();
  draw_colour_bar();
  const double least_height = map_margins.top + 205;
  Figure figure{svg_.document(figure_width, std::max(bottom() + map_margins.bottom, least_height),
                              "Growth of the gradient per layer over two keys"),
                {}};
  if (!plane_.held.empty()) figure.notes.push_back("drawn for " + plane_.held);
  if (columns_.size() < plane_.across.size() || rows_.size() < plane_.up.size()) {
    figure.notes.push_back(fmt::format("{} x {} of {} x {} cells are drawn, evenly chosen", columns_.size(),
                                       rows_.size(), plane_.across.size(), plane_.up.size()));
  }
  return figure;
}

}  // namespace

Figure draw_heat_map(const std::vector<Finding>& findings, const Plane& plane) {
  if (plane.across.size() < 2 || plane.up.size() < 2) return {};
  return HeatMap(findings, plane).draw();
}

}  // namespace gradflow::report
