#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "gradflow/sweep/place.hpp"
#include "gradflow/sweep/value.hpp"

namespace gradflow::sweep {

/// The values of one swept key.
struct Column {
  std::string key;
  std::vector<Value> values;
  Place place;                ///< of the array or generator
  std::vector<Place> places;  ///< of each value of an array; empty for a generator

  const Place& place_of(std::size_t index) const { return places.empty() ? place : places[index]; }
};

/// One dimension of the grid: one key, or the keys of one [[zip]], which advance together.
///
/// Columns are equally long and not empty, and no combination of values occurs twice.
struct Axis {
  std::vector<Column> columns;

  std::size_t size() const { return columns.front().values.size(); }
};

/// More values than this on one axis are refused; the grid itself may have up to 2^64 - 1 points.
inline constexpr std::size_t longest_axis = 1'000'000;

}  // namespace gradflow::sweep
