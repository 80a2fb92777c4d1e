#include "gradflow/experiment/cost_cache.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "gradflow/experiment/cost_measurement.hpp"
#include "gradflow/experiment/forecast.hpp"
#include "gradflow/experiment/identity.hpp"

namespace gradflow::experiment {
namespace {

using Json = nlohmann::json;

/// "Intel(R) Xeon(R) ...": hosts of a cluster may share a home, and numerics, but not a speed.
std::string processor() {
  std::ifstream cpus("/proc/cpuinfo");
  for (std::string line; std::getline(cpus, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 1);
  }
  return " unknown processor";
}

bool is_directory_name(const char* text) { return text && *text; }

/// Lengths a series may have: a number, two passes, or a table.
bool plausible(const std::vector<double>& seconds) {
  constexpr std::size_t widths = cost_widths.size();
  const bool known_length = seconds.size() == 1 || seconds.size() == 2 || seconds.size() == widths ||
                            seconds.size() == widths * cost_rows.size();
  return known_length &&
         std::ranges::all_of(seconds, [](double s) { return std::isfinite(s) && s >= 0 && s < 1e6; });
}

Costs costs_of(const Json& series) {
  Costs costs;
  for (const auto& [name, seconds] : series.items()) {
    const auto numbers = seconds.get<std::vector<double>>();
    if (!plausible(numbers)) return {};
    costs.set(name, numbers);
  }
  return costs;
}

}  // namespace

std::filesystem::path cost_cache_file() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); is_directory_name(cache)) {
    return std::filesystem::path(cache) / "gradflow" / "costs.json";
  }
  if (const char* home = std::getenv("HOME"); is_directory_name(home)) {
    return std::filesystem::path(home) / ".cache" / "gradflow" / "costs.json";
  }
  return {};
}

Costs read_costs(const std::filesystem::path& file, const std::string& machine) {
  try {
    std::ifstream in(file);
    const Json json = Json::parse(in);
    if (json.at("machine").get<std::string>() != machine) return {};
    return costs_of(json.at("seconds"));
  } catch (const Json::exception&) {
    return {};  // missing or corrupt: measured again
  }
}

std::optional<std::string> write_costs(const std::filesystem::path& file, const std::string& machine,
                                       const Costs& costs) {
  if (file.empty()) return "neither XDG_CACHE_HOME nor HOME is set";
  std::error_code failure;
  std::filesystem::create_directories(file.parent_path(), failure);
  const std::filesystem::path written = fmt::format("{}.{}", file.string(), getpid());
  std::ofstream out(written);
  out << Json{{"machine", machine}, {"seconds", costs.series()}}.dump(1) << '\n';
  out.close();
  if (!out) return fmt::format("{} cannot be written", file.string());
  std::filesystem::rename(written, file, failure);
  if (failure) return fmt::format("{} cannot be written: {}", file.string(), failure.message());
  return {};
}

Costs costs_for(const std::vector<CostKinds>& kinds, bool measure_again, std::vector<std::string>& notes) {
  const std::filesystem::path file = cost_cache_file();
  const std::string machine = numerics_identity().text() + ";" + processor();
  const Costs known = measure_again ? Costs{} : read_costs(file, machine);
  Costs costs = known;
  for (const CostKinds& kind : kinds) measure_missing(costs, kind);
  if (costs == known) return costs;
  if (const auto problem = write_costs(file, machine, costs)) {
    notes.push_back(fmt::format("measured costs are not kept: {}", *problem));
  }
  return costs;
}

}  // namespace gradflow::experiment
