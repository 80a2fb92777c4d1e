#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "contents.hpp"
#include "convert.hpp"
#include "generator.hpp"
#include "text.hpp"

namespace gradflow::sweep {

namespace {

/// An option is its own place: its line and column would only puzzle.
void move_to(const Place& place, Item& item) {
  item.place = place;
  if (auto* list = std::get_if<List>(&item.content)) {
    for (Item& entry : *list) move_to(place, entry);
  }
  if (auto* table = std::get_if<Table>(&item.content)) {
    for (Entry& entry : *table) {
      entry.place = place;
      move_to(place, entry.item);
    }
  }
}

/// What stands after the "=": a TOML value, or a bare word, which shells make of a quoted one.
Item item_of(const std::string& text, const Key& key, const Place& place) {
  try {
    const Table table = parse_toml("value = " + text, place.file);
    if (table.size() == 1) return table.front().item;
  } catch (const UserError&) {
    // Not TOML: a bare word unless it begins like a list, a table or a string.
  }
  if (text.find_first_of("[{\"'") == 0) {
    throw error_at(place, key.name,
                   fmt::format("read {}; expected a TOML value (texts in lists and tables need their quotes)",
                               in_quotes_briefly(text)));
  }
  return {place, text};
}

bool is_axis(const Key& key, const Item& item) {
  const auto* list = std::get_if<List>(&item.content);
  if (!list) return is_generator(item);
  const bool is_list = key.type == Type::integers || key.type == Type::texts;
  return !is_list || (!list->empty() && std::holds_alternative<List>(list->front().content));
}

Column* find_column(Contents& contents, const std::string& key) {
  for (Axis& axis : contents.axes) {
    for (Column& column : axis.columns) {
      if (column.key == key) return &column;
    }
  }
  return nullptr;
}

void set_axis(Contents& contents, Column column) {
  if (Column* old = find_column(contents, column.key)) {
    *old = std::move(column);
  } else {
    contents.axes.push_back({{std::move(column)}});
  }
}

void set_value(Contents& contents, const std::string& key, Setting setting) {
  for (Axis& axis : contents.axes)
    std::erase_if(axis.columns, [&](const Column& column) { return column.key == key; });
  std::erase_if(contents.axes, [](const Axis& axis) { return axis.columns.empty(); });
  contents.fixed[key] = std::move(setting);
}

}  // namespace

void apply_override(Contents& contents, const Schema& schema, const std::string& option) {
  const Place place{"--set " + option, 0, 0};
  const std::size_t equals = option.find('=');
  if (equals == std::string::npos) throw UserError(text_of(place) + ": expected key=value");
  const std::string name = option.substr(0, equals);
  const Key* key = schema.find(name);
  if (!key) throw error_at(place, name, schema.unknown(name));

  Item item = item_of(option.substr(equals + 1), *key, place);
  move_to(place, item);
  if (is_axis(*key, item)) {
    set_axis(contents, read_column(*key, item));
  } else {
    set_value(contents, key->name, {read_value(*key, item), place});
  }
}

}  // namespace gradflow::sweep
