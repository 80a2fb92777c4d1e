#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gradflow/report/configuration.hpp"

namespace gradflow::report {

/// One axis of a picture: the values of a swept key, numbers ascending, texts in the order of the sweep.
struct PlaneAxis {
  std::string key;  ///< empty if there is no such axis; it then has one value
  std::vector<std::string> texts;
  std::vector<double> numbers;  ///< NaN for texts

  std::size_t size() const { return texts.size(); }
  bool is_numeric() const;
};

/// The two swept keys a picture has room for: those with most values, a number across if there is one.
///
/// Keys that follow from another (zipped, or the parameter of a name) need no axis, but a text that follows
/// from the number across goes up: values that belong to different texts are no curve. Further keys are held:
/// there is a plane for each combination of their values.
struct Plane {
  PlaneAxis across;
  PlaneAxis up;
  std::map<std::size_t, std::size_t> cells;  ///< which configuration, by up * across.size() + across
  std::string held;                          ///< "width = 128, depth = 50"; empty if every key has an axis

  std::optional<std::size_t> at(std::size_t up_index, std::size_t across_index) const {
    const auto cell = cells.find(up_index * across.size() + across_index);
    return cell == cells.end() ? std::nullopt : std::optional(cell->second);
  }
};

/// All planes, over the same axes, in the order of their first configurations. @pre there is a configuration
std::vector<Plane> planes_of(const std::vector<Configuration>& configurations);

/// That of the first configuration. @pre there is a configuration
Plane plane_of(const std::vector<Configuration>& configurations);

}  // namespace gradflow::report
