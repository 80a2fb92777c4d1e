#include "table.hpp"

#include <cstdio>

#include <fmt/format.h>

namespace gradflow::bench {

void Table::begin(const std::string& section, const std::string& doc) {
  section_ = section;
  fmt::print("\n{}: {}\n", section, doc);
  fmt::print("  {:<51} {:<45} {:>9} {:<5} {:>9} {:>9}  {}\n", "case", "measured", "median", "unit", "lowest",
             "highest", "goal");
}

void Table::add(std::string what, std::string measured, Median value, std::string unit, std::string goal) {
  fmt::print("  {:<51} {:<45} {:>9.4g} {:<5} {:>9.4g} {:>9.4g}  {}\n", what, measured, value.value, unit,
             value.lowest, value.highest, goal);
  std::fflush(stdout);
  entries_.push_back(
      {section_, std::move(what), std::move(measured), value, std::move(unit), std::move(goal)});
}

nlohmann::json Table::json() const {
  nlohmann::json list = nlohmann::json::array();
  for (const Entry& entry : entries_) {
    list.push_back({{"section", entry.section},
                    {"case", entry.what},
                    {"measured", entry.measured},
                    {"median", entry.value.value},
                    {"lowest", entry.value.lowest},
                    {"highest", entry.value.highest},
                    {"unit", entry.unit},
                    {"goal", entry.goal}});
  }
  return list;
}

}  // namespace gradflow::bench
