#include "convert.hpp"

#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace gradflow::sweep {

namespace {

using Converted = std::optional<Value>;  // none: the item has another type

Converted integer_in(const Item& item) {
  if (const auto* integer = std::get_if<std::int64_t>(&item.content)) return *integer;
  return {};
}

Converted text_in(const Item& item) {
  if (const auto* text = std::get_if<std::string>(&item.content)) return *text;
  return {};
}

Converted texts_in(const Item& item) {
  const auto* list = std::get_if<List>(&item.content);
  if (!list) return {};
  std::vector<std::string> texts;
  for (const Item& entry : *list) {
    const auto* text = std::get_if<std::string>(&entry.content);
    if (!text) return {};
    texts.push_back(*text);
  }
  return texts;
}

Converted boolean_in(const Item& item) {
  if (const auto* boolean = std::get_if<bool>(&item.content)) return *boolean;
  return {};
}

Parameter read_parameter(const Key& key, const Entry& entry) {
  if (const auto* text = std::get_if<std::string>(&entry.item.content)) return *text;
  const std::optional<double> number = real_in(entry.item);
  if (number && std::isfinite(*number)) return *number;
  throw error_at(entry.item.place, key.name + "." + entry.name,
                 fmt::format("read {}; expected a finite number or a text in quotes", display(entry.item)));
}

Converted named_value_in(const Key& key, const Item& item) {
  if (const auto* text = std::get_if<std::string>(&item.content)) return NamedValue{*text, {}};
  const auto* table = std::get_if<Table>(&item.content);
  if (!table) return {};
  NamedValue value;
  bool named = false;
  for (const Entry& entry : *table) {
    const auto* name = std::get_if<std::string>(&entry.item.content);
    if (entry.name == "name" && name) {
      named = true;
      value.name = *name;
    } else {
      value.parameters.emplace(entry.name, read_parameter(key, entry));
    }
  }
  if (!named) return {};
  return value;
}

bool is_text(const Item& item) { return std::holds_alternative<std::string>(item.content); }

Converted converted(const Key& key, const Item& item) {
  switch (key.type) {
    case Type::boolean:
      return boolean_in(item);
    case Type::integer:
      return integer_in(item);
    case Type::real:
      return real_in(item);
    case Type::text:
      return text_in(item);
    case Type::name:
      return named_value_in(key, item);
    case Type::integers:
      return integers_in(item);
    case Type::texts:
      return texts_in(item);
    case Type::seed:
      return seed_in(item);
    case Type::real_or_text:
      return is_text(item) ? text_in(item) : real_in(item);
    case Type::integer_or_text:
      return is_text(item) ? text_in(item) : integer_in(item);
  }
  return {};
}

bool is_finite(const Value& value) {
  const auto* real = std::get_if<double>(&value);
  return !real || std::isfinite(*real);
}

}  // namespace

std::optional<double> real_in(const Item& item) {
  if (const auto* integer = std::get_if<std::int64_t>(&item.content)) return static_cast<double>(*integer);
  if (const auto* real = std::get_if<double>(&item.content)) return *real + 0.0;  // -0 + 0 is 0
  return {};
}

std::optional<std::vector<std::int64_t>> integers_in(const Item& item) {
  const auto* list = std::get_if<List>(&item.content);
  if (!list) return {};
  std::vector<std::int64_t> integers;
  for (const Item& entry : *list) {
    const auto* integer = std::get_if<std::int64_t>(&entry.content);
    if (!integer) return {};
    integers.push_back(*integer);
  }
  return integers;
}

// TOML has no integers from 2^63 on, so larger seeds come as text.
std::optional<std::int64_t> seed_in(const Item& item) {
  if (const auto* integer = std::get_if<std::int64_t>(&item.content)) return *integer;
  const auto* text = std::get_if<std::string>(&item.content);
  if (!text) return {};
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), seed);
  if (error != std::errc() || end != text->data() + text->size()) return {};
  return static_cast<std::int64_t>(seed);
}

Value read_value(const Key& key, const Item& item, std::string_view advice) {
  const Converted value = converted(key, item);
  if (!value) {
    throw error_at(item.place, key.name,
                   fmt::format("read {}; expected {}{}", display(item), expected(key.type), advice));
  }
  return accept(key, *value, item.place);
}

Value accept(const Key& key, Value value, const Place& place) {
  if (!is_finite(value)) {
    throw error_at(place, key.name, fmt::format("read {}; expected a finite number", display(value)));
  }
  const std::string complaint = key.complaint ? key.complaint(value) : "";
  if (!complaint.empty()) throw error_at(place, key.name, complaint);
  return value;
}

}  // namespace gradflow::sweep
