#include <unordered_map>

#include <fmt/format.h>

#include "contents.hpp"
#include "convert.hpp"
#include "generator.hpp"

namespace gradflow::sweep {

namespace {

Column read_array(const Key& key, const List& list, const Place& place) {
  if (list.empty()) throw error_at(place, key.name, "the axis is empty; expected at least one value");
  Column column{key.name, {}, place, {}};
  for (const Item& entry : list) {
    column.values.push_back(read_value(key, entry));
    column.places.push_back(entry.place);
  }
  return column;
}

void refuse_unequal_lengths(const Axis& axis) {
  const Column& first = axis.columns.front();
  for (const Column& column : axis.columns) {
    if (column.values.size() == first.values.size()) continue;
    throw error_at(column.place, column.key,
                   fmt::format("has {} values, but {} ({}) has {}; the keys of one [[zip]] advance together",
                               column.values.size(), first.key, text_of(first.place), first.values.size()));
  }
}

std::string display_row(const Axis& axis, std::size_t index) {
  std::string row;
  for (const Column& column : axis.columns) row += (row.empty() ? "" : ", ") + display(column.values[index]);
  return row;
}

/// One text for all rows that say the same.
std::string canonical_row(const Axis& axis, const Schema& schema, std::size_t index) {
  std::string row;
  for (const Column& column : axis.columns) {
    for (const auto& [key, value] : spelled(*schema.find(column.key), column.values[index])) {
      row += key + '=' + canonical(value) + '\n';
    }
  }
  return row;
}

void refuse_repeated_values(const Axis& axis, const Schema& schema) {
  std::unordered_map<std::string, std::size_t> seen;
  for (std::size_t i = 0; i < axis.size(); ++i) {
    const auto [first, is_new] = seen.emplace(canonical_row(axis, schema, i), i);
    if (is_new) continue;
    const Column& column = axis.columns.front();
    throw error_at(column.place_of(i), column.key,
                   fmt::format("value {} of the axis repeats value {}: {}; expected different values", i + 1,
                               first->second + 1, display_row(axis, i)));
  }
}

}  // namespace

Column read_column(const Key& key, const Item& item) {
  if (!key.may_sweep) {
    throw error_at(item.place, key.name, "cannot be swept; expected one value, outside [sweep] and [[zip]]");
  }
  if (const auto* list = std::get_if<List>(&item.content)) return read_array(key, *list, item.place);
  if (is_generator(item)) return {key.name, generate(key, item), item.place, {}};
  throw error_at(item.place, key.name,
                 fmt::format("read {}; expected an axis: an array of values, or a table with one of {}",
                             display(item), generator_names()));
}

std::uint64_t checked_size(const std::vector<Axis>& axes, const Schema& schema, const std::string& file) {
  std::uint64_t size = 1;
  for (const Axis& axis : axes) {
    refuse_unequal_lengths(axis);
    refuse_repeated_values(axis, schema);
    if (!__builtin_mul_overflow(size, static_cast<std::uint64_t>(axis.size()), &size)) continue;
    throw UserError(
        fmt::format("{}: the grid has 2^64 points or more; expected fewer or shorter axes", file));
  }
  return size;
}

}  // namespace gradflow::sweep
