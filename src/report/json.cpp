#include <cmath>

#include <nlohmann/json.hpp>

#include "gradflow/report/table.hpp"
#include "gradflow/report/verdict.hpp"
#include "layer_table.hpp"
#include "text.hpp"

namespace gradflow::report {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
  if (std::isnan(value)) return nullptr;
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  return value;
}

Json numbers(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) list.push_back(number(value));
  return list;
}

Json values_of(const Configuration& configuration) {
  Json values = Json::object();
  for (const KeyValue& value : configuration.values) {
    if (std::isnan(value.number))
      values[value.key] = value.text;
    else
      values[value.key] = value.number;
  }
  return values;
}

Json json_of(const Finding& finding) {
  const auto& [configuration, verdict] = finding;
  Json json{{"configuration", configuration.label},
            {"values", values_of(configuration)},
            {"points", configuration.points},
            {"done", configuration.done.size()},
            {"failed", configuration.failed},
            {"log10_growth_per_layer", number(verdict.growth.log10_per_layer)},
            {"standard_error", number(verdict.growth.standard_error)},
            {"theory", number(verdict.growth.theory)},
            {"depth_scale", number(verdict.depth_scale())},
            {"chi1", number(verdict.chi1)},
            {"critical_sigma_w", number(verdict.critical_sigma_w)},
            {"dead_seeds", verdict.dead_seeds},
            {"verdict", name(verdict.fate)},
            {"sentence", sentence(verdict)},
            {"remedy", remedy(verdict)}};
  json["outside_fp32_from_layer"] =
      verdict.outside_fp32_from ? Json(*verdict.outside_fp32_from) : Json(nullptr);
  return json;
}

Json json_of_file(const store::ResultFile& file) {
  const Coverage coverage = coverage_of(file);
  Json json{{"title", file.has_attribute("title") ? printable(file.attribute("title")) : ""},
            {"points", coverage.points},
            {"done", coverage.done},
            {"failed", coverage.failed},
            {"missing", coverage.missing()},
            {"configurations", Json::array()}};
  for (const Finding& finding : findings_of(file)) json["configurations"].push_back(json_of(finding));
  return json;
}

Json json_of_point(const store::ResultFile& file, std::uint64_t point) {
  const LayerTable table = layer_table(file, point);
  Json json{{"point", point}, {"name", table.name}, {"status", table.status}, {"layer", table.layers}};
  for (const LayerTable::Column& column : table.columns)
    json[std::string(column.variable)] = numbers(column.values);
  const LayerTable directions = direction_table(file, point);
  if (directions.columns.empty()) return json;
  json["direction"] = directions.layers;
  for (const LayerTable::Column& column : directions.columns)
    json[std::string(column.variable)] = numbers(column.values);
  return json;
}

}  // namespace

void print_json(const store::ResultFile& file, std::ostream& out, std::optional<std::uint64_t> point) {
  const Json json = point ? json_of_point(file, *point) : json_of_file(file);
  out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace gradflow::report
