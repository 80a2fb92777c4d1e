#include "gradflow/report/table.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include "gradflow/report/verdict.hpp"
#include "layer_table.hpp"
#include "text.hpp"

namespace gradflow::report {
namespace {

constexpr std::size_t widest_label = 44;

/// Cut to `width` characters, three of them dots.
std::string cut(const std::string& text, std::size_t width) {
  if (text.size() <= width) return text;
  std::size_t end = width - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

std::string with_error(const Growth& growth) {
  if (std::isnan(growth.standard_error)) return figures(growth.log10_per_layer, 4);
  return fmt::format("{} +- {}", figures(growth.log10_per_layer, 4), figures(growth.standard_error, 2));
}

void print_title(const store::ResultFile& file, std::ostream& out) {
  if (file.has_attribute("title") && !file.attribute("title").empty()) {
    fmt::print(out, "{}\n", printable(file.attribute("title")));
  }
  const Coverage coverage = coverage_of(file);
  fmt::print(out, "{}: {} of {} points done, {} failed, {} missing\n\n",
             printable(file.path().filename().string()), coverage.done, coverage.points, coverage.failed,
             coverage.missing());
}

void print_configurations(const store::ResultFile& file, std::ostream& out) {
  print_title(file, out);
  const std::vector<Finding> findings = findings_of(file);
  std::size_t width = std::string_view("configuration").size();
  for (const Finding& finding : findings) width = std::max(width, finding.configuration.label.size());
  width = std::min(width, widest_label);

  fmt::print(out, "{:<{}}  {:>7}  {:>22}  {:>10}  {:>7}  {:>7}  verdict\n", "configuration", width, "seeds",
             "growth per layer", "theory", "scale", "chi1");
  for (const auto& [configuration, verdict] : findings) {
    const std::string seeds = fmt::format("{}/{}", configuration.done.size(), configuration.points.size());
    fmt::print(out, "{:<{}}  {:>7}  {:>22}  {:>10}  {:>7}  {:>7}  {}\n", cut(configuration.label, width),
               width, seeds, with_error(verdict.growth), figures(verdict.growth.theory, 4),
               figures(verdict.depth_scale()), figures(verdict.chi1, 4), name(verdict.fate));
  }
  fmt::print(
      out,
      "\ngrowth per layer: log10 factor of |dE/dz| per layer on its way to the input, +- standard error over "
      "seeds\nscale: layers over which its square changes by e; chi1: mean-field factor of its square per "
      "layer\n");
}

void print_point(const store::ResultFile& file, std::ostream& out, std::uint64_t point) {
  const LayerTable table = layer_table(file, point);
  fmt::print(out, "point {}{}\n{}\n", point, table.name.empty() ? "" : ": " + table.name, table.status);
  if (table.columns.empty()) return;
  for (const std::size_t line : {0, 1}) {
    fmt::print(out, "\n{:>6}", line == 1 ? "layer" : "");
    for (const LayerTable::Column& column : table.columns) {
      fmt::print(out, "  {:>9}", line == 0 ? column.signal : column.heading);
    }
  }
  fmt::print(out, "\n");
  for (std::size_t row = 0; row < table.layers.size(); ++row) {
    fmt::print(out, "{:>6}", table.layers[row]);
    for (const LayerTable::Column& column : table.columns)
      fmt::print(out, "  {:>9}", figures(column.values[row], 5));
    fmt::print(out, "\n");
  }
}

}  // namespace

void print_table(const store::ResultFile& file, std::ostream& out, std::optional<std::uint64_t> point) {
  point ? print_point(file, out, *point) : print_configurations(file, out);
}

}  // namespace gradflow::report
