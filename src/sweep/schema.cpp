#include "gradflow/sweep/schema.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "gradflow/core/errors.hpp"
#include "text.hpp"

namespace gradflow::sweep {

namespace {

std::string_view section_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
}

std::string_view last_part_of(std::string_view name) { return name.substr(name.rfind('.') + 1); }

bool lies_inside(std::string_view name, std::string_view section) {
  return name.size() > section.size() && name.starts_with(section) && name[section.size()] == '.';
}

bool holds(Type type, const Value& value) {
  const bool text = std::holds_alternative<std::string>(value);
  const bool real = std::holds_alternative<double>(value);
  const bool integer = std::holds_alternative<std::int64_t>(value);
  switch (type) {
    case Type::boolean:
      return std::holds_alternative<bool>(value);
    case Type::integer:
      return integer;
    case Type::real:
      return real;
    case Type::text:
      return text;
    case Type::name:
      return std::holds_alternative<NamedValue>(value);
    case Type::integers:
      return std::holds_alternative<std::vector<std::int64_t>>(value);
    case Type::texts:
      return std::holds_alternative<std::vector<std::string>>(value);
    case Type::seed:
      return integer;
    case Type::real_or_text:
      return real || text;
    case Type::integer_or_text:
      return integer || text;
  }
  return false;
}

/// Every number in `value`; none for texts and names.
std::vector<double> numbers_in(const Value& value) {
  if (const auto* real = std::get_if<double>(&value)) return {*real};
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return {static_cast<double>(*integer)};
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value)) return {list->begin(), list->end()};
  return {};
}

/// A complaint about values of which some number fails `accepted`.
Complaint unless_all(std::function<bool(double)> accepted, std::string wanted) {
  return [accepted = std::move(accepted), wanted = std::move(wanted)](const Value& value) -> std::string {
    const std::vector<double> numbers = numbers_in(value);
    if (std::all_of(numbers.begin(), numbers.end(), accepted)) return "";
    return fmt::format("read {}; expected {}", display(value), wanted);
  };
}

/// A text is a name without parameters; nothing for any other type.
std::optional<NamedValue> name_in(const Value& value) {
  if (const auto* named = std::get_if<NamedValue>(&value)) return *named;
  if (const auto* text = std::get_if<std::string>(&value)) return NamedValue{*text, {}};
  return {};
}

const Choice* find_choice(const std::vector<Choice>& choices, std::string_view name) {
  const auto found =
      std::find_if(choices.begin(), choices.end(), [=](const Choice& choice) { return choice.name == name; });
  return found == choices.end() ? nullptr : &*found;
}

std::string names_of(const std::vector<Choice>& choices) {
  std::vector<std::string_view> names;
  for (const Choice& choice : choices) names.push_back(choice.name);
  return fmt::format("{}", fmt::join(names, " "));
}

std::string parameters_of(const Choice& choice) {
  if (choice.parameters.empty()) return "it has none";
  std::vector<std::string_view> names;
  for (const auto& [name, fallback] : choice.parameters) names.push_back(name);
  return fmt::format("it has: {}", fmt::join(names, " "));
}

/// What is wrong with the parameters given to a choice; empty if nothing is.
std::string complain_of_parameters(const std::string& kind, const Choice& choice, const NamedValue& given) {
  for (const auto& [name, value] : given.parameters) {
    const auto known = choice.parameters.find(name);
    if (known == choice.parameters.end()) {
      return fmt::format("{} {} has no parameter {}; {}", kind, in_quotes(choice.name),
                         in_quotes_briefly(name), parameters_of(choice));
    }
    if (known->second.index() == value.index()) continue;
    const bool is_number = std::holds_alternative<double>(known->second);
    return fmt::format("parameter {} of {}: expected {}", in_quotes(name), in_quotes(choice.name),
                       expected(is_number ? Type::real : Type::text));
  }
  return "";
}

}  // namespace

std::string_view expected(Type type) {
  switch (type) {
    case Type::boolean:
      return "true or false";
    case Type::integer:
      return "an integer";
    case Type::real:
      return "a number";
    case Type::text:
      return "a text in quotes";
    case Type::name:
      return "a name in quotes or { name = \"...\", parameter = value }";
    case Type::integers:
      return "a list of integers";
    case Type::texts:
      return "a list of texts in quotes";
    case Type::seed:
      return "an integer, or in quotes the digits of one below 2^64";
    case Type::real_or_text:
      return "a number or a text in quotes";
    case Type::integer_or_text:
      return "an integer or a text in quotes";
  }
  return "";
}

Complaint at_least(double bound) {
  return unless_all([=](double number) { return number >= bound; }, fmt::format("at least {}", bound));
}

Complaint above(double bound) {
  return unless_all([=](double number) { return number > bound; }, fmt::format("more than {}", bound));
}

Complaint between(double low, double high) {
  return unless_all([=](double number) { return number >= low && number <= high; },
                    fmt::format("a number from {} to {}", low, high));
}

Complaint choice_of(std::string kind, std::vector<Choice> choices) {
  return [kind = std::move(kind), choices = std::move(choices)](const Value& value) -> std::string {
    const std::optional<NamedValue> given = name_in(value);
    if (!given) return "";
    const Choice* choice = find_choice(choices, given->name);
    if (choice) return complain_of_parameters(kind, *choice, *given);
    return fmt::format("unknown {} {}; choose one of: {}", kind, in_quotes_briefly(given->name),
                       names_of(choices));
  };
}

Complaint one_of(std::string kind, std::vector<std::string> names) {
  std::vector<Choice> choices;
  for (std::string& name : names) choices.push_back({std::move(name), {}});
  return choice_of(std::move(kind), std::move(choices));
}

Complaint each_of(std::string kind, std::vector<std::string> names, std::string where) {
  return [kind = std::move(kind), names = std::move(names), where = std::move(where)](const Value& value) {
    const auto* texts = std::get_if<std::vector<std::string>>(&value);
    for (const std::string& text : texts ? *texts : std::vector<std::string>()) {
      if (std::find(names.begin(), names.end(), text) != names.end()) continue;
      const std::string similar = nearest(text, names);
      return fmt::format("unknown {} {};{} choose from: {}", kind, in_quotes_briefly(text),
                         similar.empty() ? "" : " did you mean " + similar + "?", where);
    }
    return std::string();
  };
}

Spelling without_defaults(std::string key, std::vector<Choice> choices) {
  return [key = std::move(key), choices = std::move(choices)](const Value& value) {
    NamedValue said = std::get<NamedValue>(value);
    if (const Choice* choice = find_choice(choices, said.name)) {
      std::erase_if(said.parameters, [&](const auto& given) {
        const auto known = choice->parameters.find(given.first);
        return known != choice->parameters.end() && known->second == given.second;
      });
    }
    return std::vector<Assignment>{{key, std::move(said)}};
  };
}

std::vector<Assignment> spelled(const Key& key, const Value& value) {
  if (key.spelling) return key.spelling(value);
  return {{key.name, value}};
}

Schema::Schema(std::vector<Key> keys) : keys_(std::move(keys)) {
  std::set<std::string> names, coordinates;
  for (const Key& key : keys_) {
    expect(names.insert(key.name).second, "key " + key.name + " stands once in the schema");
    expect(!has_section(key.name), "no key lies inside the key " + key.name);
    expect(!key.fallback || holds(key.type, *key.fallback), "default of " + key.name + " has its type");
    expect(key.enters_hash || !key.may_sweep, "swept key " + key.name + " enters the hash");
    expect(coordinates.insert(coordinate_name(*this, key.name)).second,
           "coordinate name of " + key.name + " is its own");
  }
}

const Key* Schema::find(std::string_view name) const {
  const auto found =
      std::find_if(keys_.begin(), keys_.end(), [=](const Key& key) { return key.name == name; });
  return found == keys_.end() ? nullptr : &*found;
}

bool Schema::has_section(std::string_view section) const {
  return std::any_of(keys_.begin(), keys_.end(),
                     [=](const Key& key) { return lies_inside(key.name, section); });
}

std::string Schema::unknown(std::string_view name) const {
  std::vector<std::string> all, neighbours;
  for (const Key& key : keys_) {
    all.push_back(key.name);
    if (lies_inside(name, section_of(key.name))) neighbours.push_back(key.name);
  }
  const std::string similar = nearest(name, all);
  const std::vector<std::string>& known = neighbours.empty() ? all : neighbours;
  return fmt::format("unknown key;{} known keys: {}", similar.empty() ? "" : " did you mean " + similar + "?",
                     fmt::join(known, " "));
}

std::string coordinate_name(const Schema& schema, std::string_view key) {
  expect(schema.find(key) != nullptr, "a key of the schema");
  const auto same_last_part = [=](const Key& other) { return last_part_of(other.name) == last_part_of(key); };
  const auto& keys = schema.keys();
  if (std::count_if(keys.begin(), keys.end(), same_last_part) == 1) return std::string(last_part_of(key));
  std::string name(key);
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

std::string coordinate_name(const Schema& schema, std::string_view key, std::string_view parameter) {
  return fmt::format("{}_{}", coordinate_name(schema, key), parameter);
}

}  // namespace gradflow::sweep
