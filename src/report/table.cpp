#include "gradflow/report/table.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ostream.h>

#include "gradflow/report/verdict.hpp"
#include "layer_table.hpp"
#include "text.hpp"

namespace gradflow::report {
namespace {

constexpr std::size_t widest_label = 44, widest_line = 120;

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

/// Cut to `width` bytes, three of them dots in the middle: what differs may stand at either end.
std::string cut(const std::string& text, std::size_t width) {
  if (text.size() <= width) return text;
  std::size_t head = (width - 3) / 2;
  std::size_t tail = text.size() - (width - 3 - head);
  while (head > 0 && continues_character(text[head])) --head;
  while (tail < text.size() && continues_character(text[tail])) ++tail;
  return text.substr(0, head) + "..." + text.substr(tail);
}

/// Which of the swept keys have more than one value.
std::vector<bool> varying_keys(const std::vector<Finding>& findings) {
  std::vector<bool> varies(findings.front().configuration.values.size());
  for (const Finding& finding : findings) {
    for (std::size_t key = 0; key < varies.size(); ++key) {
      const std::string& text = finding.configuration.values[key].text;
      if (text != findings.front().configuration.values[key].text) varies[key] = true;
    }
  }
  return varies;
}

/// "sigma_w = 1, seed = 2": of the keys that vary, or of those that do not.
std::string label_of(const Configuration& configuration, const std::vector<bool>& varies, bool varying) {
  std::string label;
  for (std::size_t key = 0; key < varies.size(); ++key) {
    const KeyValue& value = configuration.values[key];
    if (!value.text.empty() && varies[key] == varying) label = listed(label, value.key + " = " + value.text);
  }
  return label;
}

/// What the rows of the table are called, and what all of them have in common.
struct Labels {
  std::vector<std::string> rows;  ///< distinct, at most widest_label bytes
  std::string common;
};

Labels labels_of(const std::vector<Finding>& findings) {
  if (findings.size() < 2) return {{cut(findings.front().configuration.label, widest_label)}, ""};
  const std::vector<bool> varies = varying_keys(findings);
  Labels labels{{}, label_of(findings.front().configuration, varies, false)};
  std::map<std::string, int> uses;
  for (const auto& [configuration, verdict] : findings) {
    const std::string label = label_of(configuration, varies, true);
    ++uses[labels.rows.emplace_back(cut(label.empty() ? configuration.label : label, widest_label))];
  }
  for (std::size_t i = 0; i < findings.size(); ++i) {
    if (uses[labels.rows[i]] == 1) continue;
    const std::string point = fmt::format("point {}: ", findings[i].configuration.points.front());
    labels.rows[i] = point + cut(labels.rows[i], widest_label - point.size());
  }
  return labels;
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
  const Labels labels = findings.empty() ? Labels{} : labels_of(findings);
  std::size_t width = std::string_view("configuration").size();
  for (const std::string& label : labels.rows) width = std::max(width, label.size());

  if (!labels.common.empty()) fmt::print(out, "{}\n\n", cut("all with " + labels.common, widest_line));
  fmt::print(out, "{:<{}}  {:>7}  {:>22}  {:>10}  {:>7}  {:>7}  verdict\n", "configuration", width, "seeds",
             "growth per layer", "theory", "scale", "chi1");
  for (std::size_t i = 0; i < findings.size(); ++i) {
    const auto& [configuration, verdict] = findings[i];
    const std::string seeds = fmt::format("{}/{}", configuration.done.size(), configuration.points.size());
    fmt::print(out, "{:<{}}  {:>7}  {:>22}  {:>10}  {:>7}  {:>7}  {}\n", labels.rows[i], width, seeds,
               with_error(verdict.growth), figures(verdict.growth.theory, 4), figures(verdict.depth_scale()),
               figures(verdict.chi1, 4), name(verdict.fate));
  }
  fmt::print(
      out,
      "\ngrowth per layer: log10 factor of |dE/dz| per layer on its way to the input, +- standard error over "
      "seeds\nscale: layers over which its square changes by e; chi1: mean-field factor of its square per "
      "layer\n");
}

void print_columns(const LayerTable& table, std::string_view row_heading, std::ostream& out) {
  const std::size_t width = std::max<std::size_t>(6, row_heading.size());
  if (table.columns.empty()) return;
  for (const std::size_t line : {0, 1}) {
    fmt::print(out, "\n{:>{}}", line == 1 ? row_heading : "", width);
    for (const LayerTable::Column& column : table.columns) {
      fmt::print(out, "  {:>9}", line == 0 ? column.signal : column.heading);
    }
  }
  fmt::print(out, "\n");
  for (std::size_t row = 0; row < table.layers.size(); ++row) {
    fmt::print(out, "{:>{}}", table.layers[row], width);
    for (const LayerTable::Column& column : table.columns)
      fmt::print(out, "  {:>9}", figures(column.values[row], 5));
    fmt::print(out, "\n");
  }
}

void print_point(const store::ResultFile& file, std::ostream& out, std::uint64_t point) {
  const LayerTable table = layer_table(file, point);
  fmt::print(out, "point {}{}\n{}\n", point, table.name.empty() ? "" : ": " + table.name, table.status);
  print_columns(table, "layer", out);
  print_columns(direction_table(file, point), "direction", out);
}

}  // namespace

void print_table(const store::ResultFile& file, std::ostream& out, std::optional<std::uint64_t> point) {
  point ? print_point(file, out, *point) : print_configurations(file, out);
}

}  // namespace gradflow::report
