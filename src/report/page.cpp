#include "gradflow/report/page.hpp"

#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include "even.hpp"
#include "figure.hpp"
#include "gradflow/core/errors.hpp"
#include "page_style.hpp"
#include "text.hpp"

namespace gradflow::report {
namespace {

constexpr std::size_t most_table_rows = 1000, most_listed_points = 50;

std::string title_of(const store::ResultFile& file) {
  const std::string title = file.has_attribute("title") ? file.attribute("title") : "";
  return title.empty() ? file.path().filename().string() : title;
}

class Page {
 public:
  Page(const store::ResultFile& file, std::ostream& out)
      : file_(file), out_(out), findings_(findings_of(file)), coverage_(coverage_of(file)) {}

  void write();

 private:
  void write_head();
  void write_summary();
  void write_figures();
  void write_figure(std::string_view heading, const Figure& figure, std::string_view reading);
  void write_heat_maps(const std::vector<Plane>& planes);
  void write_table();
  void write_rules();
  void write_row(const Finding& finding);
  void write_unmeasured();
  void write_provenance();

  const store::ResultFile& file_;
  std::ostream& out_;
  std::vector<Finding> findings_;
  Coverage coverage_;
};

void Page::write_head() {
  const std::string title = escaped(title_of(file_));
  fmt::print(out_,
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n<h1>{}</h1>\n",
             title, page_style, title);
}

void Page::write_summary() {
  fmt::print(out_, "<p class=\"lead\">Points measured: {} of {}", coverage_.done, coverage_.points);
  if (coverage_.failed > 0) fmt::print(out_, ", failed: {}", coverage_.failed);
  if (coverage_.missing() > 0) fmt::print(out_, ", still missing: {}", coverage_.missing());
  fmt::print(out_, ". Configurations, seeds taken together: {}.</p>\n<p>", findings_.size());
  std::map<Fate, int> counts;
  for (const Finding& finding : findings_) ++counts[finding.verdict.fate];
  for (const auto& [fate, count] : counts) {
    fmt::print(out_, "<span class=\"fate {0}\">{0}</span>&nbsp;{1}&ensp;", name(fate), count);
  }
  fmt::print(out_, "</p>\n");
}

void Page::write_figure(std::string_view heading, const Figure& figure, std::string_view reading) {
  if (figure.svg.empty() && figure.notes.empty()) return;
  fmt::print(out_, "<figure>\n<h2>{}</h2>\n{}<figcaption>{}", escaped(heading), figure.svg, escaped(reading));
  if (!figure.notes.empty()) fmt::print(out_, "\n<ul>");
  for (const std::string& note : figure.notes) fmt::print(out_, "<li>{}</li>", escaped(note));
  if (!figure.notes.empty()) fmt::print(out_, "</ul>");
  fmt::print(out_, "</figcaption>\n</figure>\n");
}

void Page::write_figures() {
  std::vector<Configuration> all;
  for (const Finding& finding : findings_) all.push_back(finding.configuration);
  const std::vector<Plane> planes = planes_of(all);
  const Plane& plane = planes.front();
  const std::vector<ProfileKind> kinds = profile_kinds(file_);
  const auto write_profiles = [&](const ProfileKind& kind) {
    write_figure(kind.heading, draw_profiles(file_, findings_, plane, kind), kind.reading);
  };

  write_profiles(kinds.front());
  write_figure(
      "Growth of the gradient per layer", draw_growth(findings_, plane),
      "The slope of the curves above: zero keeps the gradient's size, +0.01 multiplies it by 10^0.01 (2.3 %) "
      "with every layer towards the input. Where the curve crosses zero lies the network that can be "
      "deepest.");
  write_heat_maps(planes);
  for (std::size_t i = 1; i < kinds.size(); ++i) write_profiles(kinds[i]);
  for (const MapKind& kind : map_kinds(file_)) {
    write_figure(kind.heading, draw_layer_map(file_, findings_, kind), kind.reading);
  }
}

void Page::write_heat_maps(const std::vector<Plane>& planes) {
  const std::vector<std::size_t> chosen = evenly_chosen(planes.size(), most_heat_maps);
  for (const std::size_t i : chosen) {
    const std::string where = planes[i].held.empty() ? "" : ": " + planes[i].held;
    write_figure(
        "Where gradients vanish and explode" + where, draw_heat_map(findings_, planes[i]),
        "The same slopes as colours: blue vanishes, red explodes, pale is trainable. Colours follow the "
        "square root of the slope, which spreads them around zero.");
  }
  if (chosen.size() < planes.size() && !draw_heat_map(findings_, planes.front()).svg.empty()) {
    fmt::print(out_, "<p>{} of {} planes are drawn, evenly chosen.</p>\n", chosen.size(), planes.size());
  }
}

void Page::write_row(const Finding& finding) {
  const Verdict& verdict = finding.verdict;
  const Growth& growth = verdict.growth;
  const std::string error =
      std::isfinite(growth.standard_error) ? " \u00b1 " + figures(growth.standard_error, 2) : "";
  fmt::print(
      out_,
      "<tr><td>{}</td><td>{}/{}</td><td>{}{}</td><td>{}</td><td>{}</td><td><span class=\"fate {}\">{}</span>"
      "</td><td>{}{}</td></tr>\n",
      escaped(finding.configuration.label), finding.configuration.done.size(),
      finding.configuration.points.size(), figures(growth.log10_per_layer, 4), error,
      figures(growth.theory, 4), figures(verdict.chi1, 4), name(verdict.fate), name(verdict.fate),
      escaped(sentence(verdict)),
      remedy(verdict).empty() ? "" : "<br><em>" + escaped(remedy(verdict)) + "</em>");
}

void Page::write_table() {
  fmt::print(out_,
             "<h2>Every configuration</h2>\n<table "
             "class=\"findings\">\n<tr><th>configuration</th><th>seeds</th><th>growth per layer, "
             "log10</th><th>theory</th><th>chi1</th><th>verdict</th><th>what was found, <em>what to "
             "try</em></th></tr>\n");
  const std::vector<std::size_t> chosen = evenly_chosen(findings_.size(), most_table_rows);
  for (const std::size_t i : chosen) write_row(findings_[i]);
  fmt::print(out_, "</table>\n");
  if (chosen.size() < findings_.size()) {
    fmt::print(out_, "<p>{} of {} configurations, evenly chosen; gradflow show lists all.</p>\n",
               chosen.size(), findings_.size());
  }
}

void Page::write_rules() {
  fmt::print(
      out_,
      "<h3>How the verdicts are made</h3>\n<ul>\n"
      "<li>Growth per layer: least squares of log10 {} against the distance from the output, for each seed, "
      "without {:.0f} % of the layers at each end, where networks are not stationary; then mean and standard "
      "error over seeds. It needs {} layers. Theory is the same fit to the mean-field prediction.</li>\n"
      "<li>Depth scale: layers over which the squared gradient changes by a factor e.</li>\n"
      "<li>Steady: the norm changes by less than a factor {} over the whole depth. Trainable: the network is "
      "less than {} depth scales deep (Schoenholz et al. 2017). Else it vanishes or explodes. Dead: the "
      "gradient "
      "is exactly zero in most seeds.</li>\n"
      "<li>Below fp32: counted from the output, the first layer in which float32 would round more than "
      "{:.0f} % "
      "of the nonzero gradient elements to zero. gradflow itself loses nothing there. Above fp32: the root "
      "mean "
      "square exceeds the largest float32.</li>\n"
      "<li>chi1: predicted factor per layer of the squared gradient in a wide network; critical sigma_w: "
      "where "
      "chi1 is 1.</li>\n</ul>\n",
      gradient_column(file_), 100 * end_share, fewest_fitted_layers, steady_factor, trainable_depth_scales,
      100 * outside_share);
}

void Page::write_unmeasured() {
  if (coverage_.done == coverage_.points) return;
  fmt::print(out_, "<h2>Points without a measurement</h2>\n<ul>\n");
  const std::vector<store::Status> status = file_.statuses();
  std::size_t listed_points = 0;
  for (std::uint64_t point = 0; point < file_.points() && listed_points < most_listed_points; ++point) {
    if (status[point] == store::Status::done) continue;
    ++listed_points;
    const Failure failure = file_.failure(point);
    const std::string why = status[point] == store::Status::failed
                                ? fmt::format("failed at layer {}: {}", failure.layer, meaning(failure.code))
                                : "not measured yet";
    fmt::print(out_, "<li>point {} ({}): {}</li>\n", point, escaped(file_.name_of(point)), escaped(why));
  }
  fmt::print(out_, "</ul>\n");
  const std::uint64_t all = coverage_.points - coverage_.done;
  if (all > listed_points) fmt::print(out_, "<p>and {} more.</p>\n", all - listed_points);
}

void Page::write_provenance() {
  fmt::print(out_,
             "<h2>Where the numbers come from</h2>\n<table "
             "class=\"provenance\">\n<tr><td>file</td><td>{}</td></tr>\n",
             escaped(file_.path().filename().string()));
  for (const std::string& attribute : file_.attributes()) {
    if (attribute == "sweep_file" || attribute.starts_with('_')) continue;
    fmt::print(out_, "<tr><td>{}</td><td>{}</td></tr>\n", escaped(attribute),
               escaped(file_.attribute(attribute)));
  }
  for (const std::string& key : file_.fixed()) {
    fmt::print(out_, "<tr><td>{}</td><td>{}</td></tr>\n", escaped(key), escaped(file_.texts(key).front()));
  }
  fmt::print(out_, "</table>\n");
  if (!file_.has_attribute("sweep_file")) return;
  fmt::print(out_, "<details><summary>The sweep file</summary><pre>{}</pre></details>\n",
             escaped_lines(file_.attribute("sweep_file")));
}

void Page::write() {
  write_head();
  write_summary();
  if (!findings_.empty()) write_figures();
  write_table();
  write_rules();
  write_unmeasured();
  write_provenance();
  fmt::print(out_, "</body>\n</html>\n");
  out_.flush();
  if (!out_) throw Error("the report cannot be written: the disk may be full");
}

}  // namespace

void write_html(const store::ResultFile& file, std::ostream& out) { Page(file, out).write(); }

void write_profile_svg(const store::ResultFile& file, std::ostream& out) {
  const std::vector<Finding> findings = findings_of(file);
  std::vector<Configuration> all;
  for (const Finding& finding : findings) all.push_back(finding.configuration);
  const Figure figure = draw_profiles(file, findings, plane_of(all), profile_kinds(file).front());
  if (figure.svg.empty()) {
    throw UserError(
        fmt::format("{} has no measured point yet; continue the run, then draw", file.path().string()));
  }
  out << figure.svg << std::flush;
  if (!out) throw Error("the picture cannot be written: the disk may be full");
}

}  // namespace gradflow::report
