#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "rounds.hpp"

namespace gradflow::bench {

/// One line of the table.
struct Entry {
  std::string section;
  std::string what;      ///< the case: "N = 512, batch 256, depth 200, tanh"
  std::string measured;  ///< the figure: "nominal flops over sgemm"
  Median value;
  std::string unit;  ///< "1" for a ratio
  std::string goal;  ///< what the project wants to reach: "at least 0.75"; printed, never asserted
};

/// Everything the bench found, printed as it comes.
class Table {
 public:
  /// The entries added next belong to this section.
  void begin(const std::string& section, const std::string& doc);
  void add(std::string what, std::string measured, Median value, std::string unit, std::string goal = "");

  nlohmann::json json() const;

 private:
  std::string section_;
  std::vector<Entry> entries_;
};

}  // namespace gradflow::bench
