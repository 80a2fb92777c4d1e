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

constexpr double profile_legend_width = 140, panel_gap = 14;
constexpr Margins profile_margins{.left = 78, .top = 34, .bottom = 52};
constexpr std::size_t most_spots = 160;  ///< along one curve
constexpr auto theory_colour = "#1a1a1a";

/// What is drawn of one configuration, thinned to most_spots layers.
struct Curve {
  std::vector<double> layers, mean, low, high;
  std::vector<double> theory;  ///< empty: none
  std::string colour;
};

/// The curves of one value of the second key.
struct PanelContent {
  std::string title;
  std::vector<Curve> curves;
};

std::vector<double> thinned(const std::vector<double>& values) {
  std::vector<double> chosen;
  for (const std::size_t i : evenly_chosen(values.size(), most_spots)) chosen.push_back(values[i]);
  return chosen;
}

std::vector<double> theory_of(const store::ResultFile& file, const Configuration& configuration,
                              const ProfileKind& kind, const Profile& measured) {
  if (kind.theory.empty() || !file.has(kind.theory)) return {};
  std::vector<double> theory = file.read(kind.theory, configuration.done.front());
  theory.resize(measured.layers.size());
  if (!kind.anchored || theory.empty()) return theory;
  const double shift = measured.mean.back() - theory.back();
  for (double& value : theory) value += shift;
  return theory;
}

class ProfileFigure {
 public:
  ProfileFigure(const store::ResultFile& file, const std::vector<Finding>& findings, const Plane& plane,
                const ProfileKind& kind)
      : file_(file),
        findings_(findings),
        plane_(plane),
        kind_(kind),
        across_(evenly_chosen(plane.across.size(), most_curves)),
        up_(evenly_chosen(plane.up.size(), most_panels)) {}

  Figure draw();

 private:
  std::string colour_of(std::size_t curve) const;
  PanelContent content_of(std::size_t up_index);
  Curve curve_of(const Configuration& configuration, std::string colour);
  void draw_panel(const PanelContent& content, Frame frame, bool labelled);
  void draw_legend(double left);
  void note_omissions();

  const store::ResultFile& file_;
  const std::vector<Finding>& findings_;
  const Plane& plane_;
  const ProfileKind& kind_;
  std::vector<std::size_t> across_, up_;
  bool any_theory_ = false;
  std::size_t unmeasured_ = 0;
  std::vector<std::string> gaps_;
  Svg svg_;
  Figure figure_;
};

std::string ProfileFigure::colour_of(std::size_t curve) const {
  if (across_.size() == 1) return distinct_colour(0);
  if (!plane_.across.is_numeric() && across_.size() <= 7) return distinct_colour(curve);
  return ordered_colour(double(curve) / double(across_.size() - 1));
}

Curve ProfileFigure::curve_of(const Configuration& configuration, std::string colour) {
  const SeedRows rows = kind_.by_index ? read_by_index(file_, configuration, kind_.column)
                                       : read_rows(file_, configuration, kind_.column);
  const Profile profile = profile_of(rows);
  const Gaps gaps = gaps_of(rows);
  if (gaps.zeros > 0) gaps_.push_back(fmt::format("{}: exact zeros: {}", configuration.label, gaps.zeros));
  if (gaps.undefined > 0)
    gaps_.push_back(fmt::format("{}: undefined values: {}", configuration.label, gaps.undefined));

  const std::vector<double> layers(profile.layers.begin(), profile.layers.end());
  const std::vector<double> theory = theory_of(file_, configuration, kind_, profile);
  any_theory_ |= std::ranges::any_of(theory, [](double v) { return std::isfinite(v); });
  return {thinned(layers),       thinned(profile.mean), thinned(profile.low),
          thinned(profile.high), thinned(theory),       std::move(colour)};
}

PanelContent ProfileFigure::content_of(std::size_t up_index) {
  PanelContent content;
  if (!plane_.up.key.empty()) content.title = plane_.up.key + " = " + plane_.up.texts[up_index];
  const double critical = critical_sigma_w(findings_, plane_, up_index);
  if (std::isfinite(critical)) {
    content.title = listed(content.title, fmt::format("critical sigma_w = {}", figures(critical, 4)));
  }
  for (std::size_t i = 0; i < across_.size(); ++i) {
    const std::optional<std::size_t> index = plane_.at(up_index, across_[i]);
    if (!index) continue;
    const Configuration& configuration = findings_[*index].configuration;
    if (configuration.done.empty()) {
      ++unmeasured_;
      continue;
    }
    Curve curve = curve_of(configuration, colour_of(i));
    if (!curve.layers.empty()) content.curves.push_back(std::move(curve));
  }
  return content;
}

void ProfileFigure::draw_panel(const PanelContent& content, Frame frame, bool labelled) {
  Range x, y;
  for (const Curve& curve : content.curves) {
    x.include(curve.layers);
    y.include(curve.low);
    y.include(curve.high);
    y.include(curve.theory);
  }
  x.include(1);
  Panel panel(svg_, frame, x.widened(1, 0), y.widened(kind_.notation == Notation::number ? 0.02 : 2, 0.04));
  panel.draw_title(content.title);
  panel.draw_x_axis({kind_.by_index ? "direction" : "layer (input on the left, output on the right)"});
  panel.draw_y_axis({labelled ? kind_.label : "", kind_.notation});
  for (const Curve& curve : content.curves) panel.band(curve.layers, curve.low, curve.high, curve.colour);
  for (const Curve& curve : content.curves) panel.curve(curve.layers, curve.mean, {curve.colour, 2.2});
  for (const Curve& curve : content.curves) {
    if (!curve.theory.empty()) panel.curve(curve.layers, curve.theory, {theory_colour, 1.1, "5 4"});
  }
}

void ProfileFigure::draw_legend(double left) {
  double y = profile_margins.top + 10;
  if (across_.size() > 1) {
    svg_.text({left, y}, plane_.across.key, {.weight = "bold"});
    for (std::size_t i = 0; i < across_.size(); ++i) {
      y += 18;
      svg_.line({left, y - 4}, {left + 22, y - 4}, {colour_of(i), 3});
      svg_.text({left + 29, y}, plane_.across.texts[across_[i]], {});
    }
    y += 24;
  }
  svg_.rectangle({left, y - 10}, 22, 10, "#bbbbbb");
  svg_.text({left + 29, y}, "range of seeds", {.size = 11});
  if (!any_theory_) return;
  svg_.line({left, y + 14}, {left + 22, y + 14}, {theory_colour, 1.1, "5 4"});
  svg_.text({left + 29, y + 18}, "theory", {.size = 11});
}

void ProfileFigure::note_omissions() {
  if (!plane_.held.empty()) figure_.notes.push_back("drawn for " + plane_.held);
  const auto note_chosen = [&](std::size_t drawn, const PlaneAxis& axis) {
    if (drawn == axis.size()) return;
    figure_.notes.push_back(
        fmt::format("{} of {} values of {} are drawn, evenly chosen", drawn, axis.size(), axis.key));
  };
  note_chosen(across_.size(), plane_.across);
  note_chosen(up_.size(), plane_.up);
  if (unmeasured_ > 0) figure_.notes.push_back(fmt::format("curves not measured yet: {}", unmeasured_));
  constexpr std::size_t most_listed = 8;
  for (std::size_t i = 0; i < std::min(gaps_.size(), most_listed); ++i) {
    figure_.notes.push_back(gaps_[i] + ", drawn as gaps");
  }
  if (gaps_.size() > most_listed) {
    figure_.notes.push_back(fmt::format("further curves with gaps: {}", gaps_.size() - most_listed));
  }
}

Figure ProfileFigure::draw() {
  std::vector<PanelContent> contents;
  for (const std::size_t up_index : up_) {
    PanelContent content = content_of(up_index);
    if (!content.curves.empty()) contents.push_back(std::move(content));
  }
  note_omissions();
  if (contents.empty()) return figure_;

  const std::size_t columns = std::min<std::size_t>(2, contents.size());
  const std::size_t rows = (contents.size() + columns - 1) / columns;
  const double cell_width = (figure_width - profile_legend_width) / double(columns);
  const double height = columns == 1 ? 380 : 320;
  const double cell_height = profile_margins.top + height + profile_margins.bottom;
  for (std::size_t i = 0; i < contents.size(); ++i) {
    const double left = double(i % columns) * cell_width, top = double(i / columns) * cell_height;
    draw_panel(contents[i],
               {left + profile_margins.left, top + profile_margins.top,
                cell_width - profile_margins.left - panel_gap, height},
               i % columns == 0);
  }
  draw_legend(figure_width - profile_legend_width + 6);
  figure_.svg = svg_.document(figure_width, double(rows) * cell_height, kind_.heading);
  return figure_;
}

}  // namespace

std::vector<ProfileKind> profile_kinds(const store::ResultFile& file) {
  const std::string gradient = gradient_column(file);
  const bool is_norm = gradient == "dgrad_log10_norm_mean";
  const bool comparable = is_norm != file.has("widths");
  std::vector<ProfileKind> kinds{
      {"Size of the gradient by layer", gradient, comparable ? "theory_dgrad_log10_rms" : "", true,
       Notation::power_of_ten, is_norm ? "|dE/dz|, typical norm of a sample" : "dE/dz, root mean square",
       "The gradient starts at the output, on the right, and travels to the input, on the left. A straight "
       "line is "
       "exponential growth or decay. A level curve is what training needs. Theory is for infinite width: the "
       "typical "
       "gradient of a network of width N shrinks faster, by a share of the order of 1/N per layer."},
      {"Size of the forward signal by layer", "preact_log10_q", "theory_preact_log10_q", false,
       Notation::power_of_ten, "q, mean square of z",
       "The signal starts at the input, on the left. Mean-field theory expects it to settle at a fixed "
       "point."},
      {"Correlation of two samples by layer", "preact_corr", "theory_preact_corr", false, Notation::number,
       "correlation of z",
       "At 1 all inputs have become one and the network can no longer tell them apart (order); below 1 "
       "nearby inputs "
       "are driven apart (chaos)."},
      {"Size of the weight gradient by layer", "wgrad_log10_norm", "", false, Notation::power_of_ten,
       "|dE/dW|, Frobenius norm",
       "What a step of gradient descent does to each layer's weights. It can be level although the gradient "
       "above is "
       "not, when the forward signal grows as fast as the gradient shrinks (Glorot and Bengio 2010)."},
      {"Directions the activations fill, by layer", "act_effective_rank", "", false, Notation::number,
       "effective rank of h",
       "How many directions the samples of the batch fill: its size at most, 1 when all samples have become "
       "parallel and no later layer can tell them apart."},
      {"Share common to all inputs by layer", "preact_common_share", "", false, Notation::number,
       "share of the second moment of z",
       "Bias shift: what a layer's preactivations have in common over all inputs says nothing about any of "
       "them."},
      {"Singular values of the Jacobian", "jacobian_log10_singular_value", "", false, Notation::power_of_ten,
       "singular value",
       "How much the network stretches each of its directions from one end to the other, at one sample. A "
       "level "
       "line is dynamical isometry (Pennington, Schoenholz and Ganguli 2017): every gradient arrives with "
       "the "
       "size it had. Exact zeros, behind dead units, are left out.",
       true},
      {"Lyapunov exponents", "lyapunov_exponent", "theory_lyapunov_exponent", false, Notation::number,
       "ln |R_ii| per layer",
       "Growth per layer of the directions, each at right angles to those before it: positive ones are "
       "chaos. "
       "Theory is exact for linear layers, Gaussian or orthogonal.",
       true}};
  std::erase_if(kinds, [&](const ProfileKind& kind) { return !file.has(kind.column); });
  return kinds;
}

Figure draw_profiles(const store::ResultFile& file, const std::vector<Finding>& findings, const Plane& plane,
                     const ProfileKind& kind) {
  return ProfileFigure(file, findings, plane, kind).draw();
}

}  // namespace gradflow::report
