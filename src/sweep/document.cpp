#include "document.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "limits.hpp"
#include "text.hpp"
#include "toml.hpp"

namespace gradflow::sweep {

namespace {

Place place_of(const toml::source_position& position, const std::string& file) {
  return {file, static_cast<int>(position.line), static_cast<int>(position.column)};
}

Item item_of(const toml::node& node, const std::string& file);

List list_of(const toml::array& array, const std::string& file) {
  List list;
  for (const toml::node& node : array) list.push_back(item_of(node, file));
  return list;
}

Table table_of(const toml::table& table, const std::string& file) {
  Table entries;
  for (const auto& [key, node] : table) {
    entries.push_back({std::string(key.str()), place_of(key.source().begin, file), item_of(node, file)});
  }
  return entries;
}

Item item_of(const toml::node& node, const std::string& file) {
  Item item{place_of(node.source().begin, file), Moment{}};
  if (const auto* table = node.as_table()) item.content = table_of(*table, file);
  if (const auto* array = node.as_array()) item.content = list_of(*array, file);
  if (const auto* text = node.as_string()) item.content = text->get();
  if (const auto* integer = node.as_integer()) item.content = integer->get();
  if (const auto* real = node.as_floating_point()) item.content = real->get();
  if (const auto* boolean = node.as_boolean()) item.content = boolean->get();
  return item;
}

std::string_view first_lines(std::string_view text, int lines) {
  std::size_t end = 0;
  for (int line = 0; line < lines; ++line) end = std::min(text.find('\n', end), text.size() - 1) + 1;
  return text.substr(0, end);
}

bool gives_up(std::string_view text) {
  try {
    (void)toml::parse(text);
  } catch (const toml::parse_error&) {
    return false;
  } catch (const ParserGaveUp&) {
    return true;
  }
  return false;
}

/// The line at which the parser gives up: the last of the shortest beginning of `text` at which it does.
int find_bad_line(std::string_view text) {
  int good = 0, bad = 1 + static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  while (bad - good > 1) {
    const int middle = (good + bad) / 2;
    (gives_up(first_lines(text, middle)) ? bad : good) = middle;
  }
  return bad;
}

struct Display {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return display_real(value); }
  std::string operator()(const std::string& value) const { return in_quotes_briefly(value); }
  std::string operator()(const Moment&) const { return "a date or time"; }
  std::string operator()(const List&) const { return "a list"; }
  std::string operator()(const Table&) const { return "a table"; }
};

}  // namespace

Table parse_toml(std::string_view text, const std::string& file) {
  check_limits(text, file);
  try {
    return table_of(toml::parse(text, std::string_view(file)), file);
  } catch (const toml::parse_error& error) {
    throw error_at(place_of(error.source().begin, file), "TOML syntax error", error.description());
  } catch (const ParserGaveUp&) {
    throw error_at({file, find_bad_line(text), 1}, "TOML syntax error",
                   "expected a table, [section], or key = value");
  }
}

std::string display(const Item& item) { return std::visit(Display{}, item.content); }

}  // namespace gradflow::sweep
