#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gradflow/sweep/place.hpp"

namespace gradflow::sweep {

struct Item;
struct Entry;
using List = std::vector<Item>;
using Table = std::vector<Entry>;

/// Dates and times: TOML has them, no key takes them.
struct Moment {};

/// A TOML value with its place. The only view of TOML that the rest of this module has.
struct Item {
  Place place;
  std::variant<bool, std::int64_t, double, std::string, Moment, List, Table> content;
};

/// One part of a key and what it stands for. Entries of a table are sorted by name: leaves_of() restores file
/// order.
struct Entry {
  std::string name;
  Place place;
  Item item;
};

/// @throws UserError for more than 1 MiB, keys of more than 16 parts, and syntax errors with line and column
Table parse_toml(std::string_view text, const std::string& file);

/// What was read, for messages: 2.5, "tahn", a list, a table, a date or time.
std::string display(const Item& item);

}  // namespace gradflow::sweep
