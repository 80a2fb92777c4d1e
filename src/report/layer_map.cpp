#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "colour.hpp"
#include "even.hpp"
#include "figure.hpp"
#include "svg.hpp"

namespace gradflow::report {
namespace {

constexpr double legend_width = 130;
constexpr Margins layer_map_margins{.left = 78, .top = 16, .bottom = 52};
constexpr double map_height = 300;
constexpr std::size_t most_layers = 160, most_layer_labels = 12, most_row_labels = 16;

/// A statistic with a further dimension, of one point: layers from left to right, the dimension upwards.
class LayerMap {
 public:
  LayerMap(const store::ResultFile& file, const MapKind& kind, std::uint64_t point)
      : kind_(kind), layers_(file.layers_of(point)), values_(file.read(kind.column, point)) {
    coordinates_ = file.texts(file.column(kind.column).extra_dimension);
    columns_ = evenly_chosen(layers_.size(), most_layers);
    leave_empty_rows_out();
    cell_width_ = (figure_width - layer_map_margins.left - legend_width) / double(columns_.size());
    cell_height_ = map_height / double(std::max<std::size_t>(rows(), 1));
  }

  Figure draw();

 private:
  double at(std::size_t layer, std::size_t row) const { return values_[layer * coordinates_.size() + row]; }
  std::size_t rows() const { return end_row_ - first_row_; }
  /// 0 to 1; of shares the square root, which spreads the colours where most of them are.
  double strength(double value) const {
    const double part = limit_ > 0 ? std::abs(value) / limit_ : 0;
    return kind_.is_signed ? part : std::sqrt(part);
  }
  std::string colour_of(double value) const {
    return kind_.is_signed ? signed_colour(std::copysign(strength(value), value))
                           : ordered_colour(strength(value));
  }
  void leave_empty_rows_out();
  void draw_cells();
  void draw_labels();
  void draw_colour_bar();

  const MapKind& kind_;
  std::vector<int> layers_;
  std::vector<double> values_;            ///< [layer][coordinate]
  std::vector<std::string> coordinates_;  ///< of the further dimension
  std::vector<std::size_t> columns_;      ///< layers that are drawn, from 0
  std::size_t first_row_ = 0, end_row_ = 0;
  double limit_ = 0;  ///< largest magnitude
  double cell_width_ = 0, cell_height_ = 0;
  Svg svg_;
};

void LayerMap::leave_empty_rows_out() {
  const auto is_empty = [&](std::size_t row) {
    return std::ranges::all_of(columns_, [&](std::size_t layer) { return !(std::abs(at(layer, row)) > 0); });
  };
  end_row_ = coordinates_.size();
  while (first_row_ < end_row_ && is_empty(first_row_)) ++first_row_;
  while (end_row_ > first_row_ && is_empty(end_row_ - 1)) --end_row_;
  for (const double value : values_) {
    if (std::isfinite(value)) limit_ = std::max(limit_, std::abs(value));
  }
}

void LayerMap::draw_cells() {
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    for (std::size_t row = first_row_; row < end_row_; ++row) {
      const double value = at(columns_[column], row);
      if (!(std::abs(value) > 0)) continue;
      const Spot corner{layer_map_margins.left + double(column) * cell_width_,
                        layer_map_margins.top + double(end_row_ - 1 - row) * cell_height_};
      svg_.rectangle(corner, cell_width_ + 0.3, cell_height_ + 0.3, colour_of(value));
    }
  }
}

void LayerMap::draw_labels() {
  const double bottom = layer_map_margins.top + map_height;
  for (const std::size_t column : every_nth(columns_.size(), most_layer_labels)) {
    svg_.text({layer_map_margins.left + (double(column) + 0.5) * cell_width_, bottom + 16},
              fmt::format("{}", layers_[columns_[column]]), {.size = 11, .anchor = "middle"});
  }
  for (const std::size_t row : every_nth(rows(), most_row_labels)) {
    svg_.text({layer_map_margins.left - 8,
               layer_map_margins.top + (double(rows() - 1 - row) + 0.5) * cell_height_ + 4},
              coordinates_[first_row_ + row], {.size = 11, .anchor = "end"});
  }
  const double width = cell_width_ * double(columns_.size());
  svg_.text({layer_map_margins.left + width / 2, bottom + 38},
            "layer (input on the left, output on the right)", {.size = 13, .anchor = "middle"});
  svg_.text({22, layer_map_margins.top + map_height / 2}, kind_.label,
            {.size = 13, .anchor = "middle", .angle = -90});
}

void LayerMap::draw_colour_bar() {
  constexpr int steps = 48;
  constexpr double height = 150, width = 16;
  const double left = figure_width - legend_width + 26;
  const double least = kind_.is_signed ? -limit_ : 0;
  for (int i = 0; i < steps; ++i) {
    const double value = limit_ - (limit_ - least) * (i + 0.5) / steps;
    svg_.rectangle({left, layer_map_margins.top + height * i / steps}, width, height / steps + 0.5,
                   colour_of(value));
  }
  for (const double value : {limit_, (limit_ + least) / 2, least}) {
    const double y = layer_map_margins.top + height * (limit_ - value) / (limit_ - least);
    svg_.text({left + width + 8, y + 4}, fmt::format("{:.2g}", value), {.size = 11});
  }
}

Figure LayerMap::draw() {
  if (rows() == 0) return {};
  draw_cells();
  draw_labels();
  draw_colour_bar();
  return {svg_.document(figure_width, layer_map_margins.top + map_height + layer_map_margins.bottom,
                        kind_.heading),
          {}};
}

/// Whether neighbours in the batch are neighbours in space.
bool has_ordered_samples(const store::ResultFile& file) {
  if (!file.has("data_source")) return false;
  const std::vector<std::string> sources = file.texts("data_source");
  return std::ranges::any_of(sources, [](auto& source) { return source == "grid" || source == "circle"; });
}

}  // namespace

std::vector<MapKind> map_kinds(const store::ResultFile& file) {
  std::vector<MapKind> kinds{
      {"Magnitudes of the gradient by layer", "dgrad_log2_histogram", "log2 |dE/dz| / rms", false,
       "Share of the elements in each octave, relative to the root mean square of the layer. A band that "
       "widens towards the input means that few elements carry the gradient: a number format must reach as "
       "far down as the band."},
      {"Magnitudes of the activations by layer", "act_log2_histogram", "log2 |h| / rms", false,
       "Share of the elements in each octave, relative to the root mean square of the layer. Zeros are in "
       "no octave."}};
  if (has_ordered_samples(file)) {
    kinds.push_back(
        {"Correlation of the gradients of neighbouring inputs by layer", "dgrad_lag_corr", "lag", true,
         "Cosine of the gradients of inputs some places apart on the line. Brown noise stays correlated over "
         "many places, white noise over none: that gradient is shattered (Balduzzi et al. 2017)."});
  }
  std::erase_if(kinds, [&](const MapKind& kind) { return !file.has(kind.column); });
  return kinds;
}

Figure draw_layer_map(const store::ResultFile& file, const std::vector<Finding>& findings,
                      const MapKind& kind) {
  const auto measured = std::ranges::find_if(
      findings, [](const Finding& finding) { return !finding.configuration.done.empty(); });
  if (measured == findings.end()) return {};
  const std::uint64_t point = measured->configuration.done.front();
  Figure figure = LayerMap(file, kind, point).draw();
  if (!figure.svg.empty())
    figure.notes.push_back(fmt::format("drawn for point {}, {}", point, file.name_of(point)));
  return figure;
}

}  // namespace gradflow::report
