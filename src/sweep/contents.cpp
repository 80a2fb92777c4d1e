#include "contents.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "convert.hpp"
#include "generator.hpp"
#include "text.hpp"

namespace gradflow::sweep {

namespace {

/// A key of the file with all its parts, and what it stands for.
struct Leaf {
  std::string key;
  Place place;
  const Item* item;
};

bool is_before(const Place& a, const Place& b) {
  return std::tie(a.line, a.column) < std::tie(b.line, b.column);
}

/// Parts that TOML needs quotes for keep them: "init.sigma_w" = 1 is not init.sigma_w = 1.
std::string path_of(const std::string& section, const std::string& part) {
  constexpr auto bare = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  const bool is_bare = !part.empty() && part.find_first_not_of(bare) == std::string::npos;
  const std::string name = is_bare ? part : in_quotes_briefly(part);
  return section.empty() ? name : section + "." + name;
}

bool is_section(const std::string& path, const Item& item, const Schema& schema) {
  const auto* table = std::get_if<Table>(&item.content);
  return table && !table->empty() && !schema.find(path) && !is_generator(item);
}

void collect_leaves(const Table& table, const std::string& section, const Schema& schema,
                    std::vector<Leaf>& leaves) {
  for (const Entry& entry : table) {
    const std::string path = path_of(section, entry.name);
    if (is_section(path, entry.item, schema)) {
      collect_leaves(std::get<Table>(entry.item.content), path, schema, leaves);
    } else {
      leaves.push_back({path, entry.place, &entry.item});
    }
  }
}

bool is_empty_section(const Leaf& leaf, const Schema& schema) {
  const auto* table = std::get_if<Table>(&leaf.item->content);
  return table && table->empty() && schema.has_section(leaf.key);
}

/// Every key in `table`, in file order.
std::vector<Leaf> leaves_of(const Table& table, const Schema& schema) {
  std::vector<Leaf> leaves;
  collect_leaves(table, "", schema, leaves);
  std::erase_if(leaves, [&](const Leaf& leaf) { return is_empty_section(leaf, schema); });
  std::sort(leaves.begin(), leaves.end(),
            [](const Leaf& a, const Leaf& b) { return is_before(a.place, b.place); });
  return leaves;
}

const Key& key_of(const Leaf& leaf, const Schema& schema) {
  const Key* key = schema.find(leaf.key);
  if (!key) throw error_at(leaf.place, leaf.key, schema.unknown(leaf.key));
  return *key;
}

void read_fixed(const Table& table, const Schema& schema, Contents& contents) {
  for (const Leaf& leaf : leaves_of(table, schema)) {
    const Key& key = key_of(leaf, schema);
    const bool several = std::holds_alternative<List>(leaf.item->content) || is_generator(*leaf.item);
    const auto* advice = several && key.may_sweep ? "; several values of a key stand in [sweep]" : "";
    contents.fixed[key.name] = {read_value(key, *leaf.item, advice), leaf.item->place};
  }
}

std::vector<Column> read_columns(const Table& table, const Schema& schema) {
  std::vector<Column> columns;
  for (const Leaf& leaf : leaves_of(table, schema))
    columns.push_back(read_column(key_of(leaf, schema), *leaf.item));
  return columns;
}

const Table& table_in(const Item& item, std::string_view name, std::string_view wanted) {
  const auto* table = std::get_if<Table>(&item.content);
  if (!table) throw error_at(item.place, name, fmt::format("read {}; expected {}", display(item), wanted));
  return *table;
}

void read_sweep(const Item& item, const Schema& schema, Contents& contents) {
  const Table& table = table_in(item, "sweep", "the table [sweep]");
  for (Column& column : read_columns(table, schema)) contents.axes.push_back({{std::move(column)}});
}

void read_zip(const Item& item, const Schema& schema, Contents& contents) {
  constexpr auto wanted = "[[zip]] with keys and their values";
  const auto* list = std::get_if<List>(&item.content);
  if (!list) throw error_at(item.place, "zip", fmt::format("read {}; expected {}", display(item), wanted));
  for (const Item& entry : *list) {
    Axis axis{read_columns(table_in(entry, "zip", wanted), schema)};
    if (axis.columns.empty()) throw error_at(entry.place, "zip", fmt::format("no key; expected {}", wanted));
    contents.axes.push_back(std::move(axis));
  }
}

void refuse_repeated_keys(const std::vector<Axis>& axes) {
  std::map<std::string, Place> places;
  for (const Axis& axis : axes) {
    for (const Column& column : axis.columns) {
      const auto [first, is_new] = places.emplace(column.key, column.place);
      if (is_new) continue;
      throw error_at(column.place, column.key,
                     fmt::format("already swept at {}; a key stands once, in [sweep] or in one [[zip]]",
                                 text_of(first->second)));
    }
  }
}

}  // namespace

Contents read_contents(const Table& document, const Schema& schema) {
  Contents contents;
  Table fixed;
  for (const Entry& entry : document) {
    if (entry.name != "sweep" && entry.name != "zip") fixed.push_back(entry);
  }
  read_fixed(fixed, schema, contents);
  for (const Entry& entry : document) {
    if (entry.name == "sweep") read_sweep(entry.item, schema, contents);
    if (entry.name == "zip") read_zip(entry.item, schema, contents);
  }
  std::sort(contents.axes.begin(), contents.axes.end(), [](const Axis& a, const Axis& b) {
    return is_before(a.columns.front().place, b.columns.front().place);
  });
  refuse_repeated_keys(contents.axes);
  return contents;
}

}  // namespace gradflow::sweep
