#pragma once

#include <span>
#include <string>
#include <string_view>

#include "gradflow/core/errors.hpp"

namespace gradflow {

/// The names of a table of rows `{name, ..., doc}`, separated by spaces.
template <class Row>
std::string names_of(std::span<const Row> table) {
  std::string names;
  for (const Row& row : table) {
    if (!names.empty()) names += ' ';
    names += row.name;
  }
  return names;
}

/// The row called `name`. Adding a row to the table is all it takes to add something to gradflow.
/// @param kind  what the table holds, for the message: "activation"
/// @throws UserError naming every known row
template <class Row>
const Row& find(std::span<const Row> table, std::string_view kind, std::string_view name) {
  for (const Row& row : table) {
    if (row.name == name) return row;
  }
  throw UserError("unknown " + std::string(kind) + " \"" + std::string(name) +
                  "\"; choose one of: " + names_of(table));
}

}  // namespace gradflow
