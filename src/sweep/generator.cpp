#include "generator.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "convert.hpp"
#include "gradflow/core/catalogue.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/sweep/axis.hpp"
#include "numbers.hpp"

namespace gradflow::sweep {

namespace {

using Integers = std::vector<std::int64_t>;
using Reals = std::vector<double>;
using Numbers = std::variant<Integers, Reals>;
using Made = std::optional<Numbers>;  // none: the arguments are not what the generator's form says

/// The entries of a list of finite numbers; empty for anything else.
Reals numbers_of(const Item& item) {
  const auto* list = std::get_if<List>(&item.content);
  if (!list) return {};
  Reals numbers;
  for (const Item& entry : *list) {
    const std::optional<double> number = real_in(entry);
    if (!number || !std::isfinite(*number)) return {};
    numbers.push_back(*number);
  }
  return numbers;
}

struct Spacing {
  double first, last;
  std::size_t n;
};

std::optional<std::size_t> count_in(const Item& item, std::int64_t fewest) {
  const auto* n = std::get_if<std::int64_t>(&item.content);
  if (!n || *n < fewest || *n > static_cast<std::int64_t>(longest_axis)) return {};
  return static_cast<std::size_t>(*n);
}

std::optional<Spacing> spacing_in(const Item& item) {
  const Reals numbers = numbers_of(item);
  if (numbers.size() != 3) return {};
  const auto n = count_in(std::get<List>(item.content)[2], 2);
  if (!n) return {};
  return Spacing{numbers[0], numbers[1], *n};
}

Made make_linspace(const Item& item) {
  const auto spacing = spacing_in(item);
  if (!spacing) return {};
  return linear_space(spacing->first, spacing->last, spacing->n);
}

Made make_logspace(const Item& item) {
  const auto spacing = spacing_in(item);
  if (!spacing || spacing->first <= 0 || spacing->last <= 0) return {};
  return logarithmic_space(spacing->first, spacing->last, spacing->n);
}

template <class Number>
Made make_range_of(std::vector<Number> bounds) {
  if (bounds.size() != 2 && bounds.size() != 3) return {};
  bounds.resize(3, 1);
  if (bounds[2] == 0) return {};
  return range(bounds[0], bounds[1], bounds[2], longest_axis + 1);
}

Made make_range(const Item& item) {
  const auto integers = integers_in(item);
  return integers ? make_range_of(*integers) : make_range_of(numbers_of(item));
}

const Item* entry_of(const Table& table, std::string_view name) {
  const auto found =
      std::find_if(table.begin(), table.end(), [=](const Entry& entry) { return entry.name == name; });
  return found == table.end() ? nullptr : &found->item;
}

Made make_random(const Item& item) {
  const auto* table = std::get_if<Table>(&item.content);
  if (!table || table->size() != 3) return {};
  const Item* linear = entry_of(*table, "uniform");
  const Item* logarithmic = entry_of(*table, "log_uniform");
  const Item* n_item = entry_of(*table, "n");
  const Item* seed_item = entry_of(*table, "seed");
  if ((!linear && !logarithmic) || !n_item || !seed_item) return {};

  const Reals bounds = numbers_of(linear ? *linear : *logarithmic);
  const auto n = count_in(*n_item, 1);
  const auto seed = seed_in(*seed_item);
  if (bounds.size() != 2 || bounds[0] >= bounds[1] || !n || !seed) return {};
  if (logarithmic && bounds[0] <= 0) return {};
  const auto key = static_cast<std::uint64_t>(*seed);
  return linear ? uniform(bounds[0], bounds[1], key, *n) : log_uniform(bounds[0], bounds[1], key, *n);
}

struct Generator {
  std::string_view name;
  Made (*make)(const Item& arguments);
  std::string_view form;
};

constexpr std::array generators{
    Generator{"linspace", make_linspace, "[first, last, number of values from 2 to 1000000]"},
    Generator{"logspace", make_logspace, "[first, last, number of values from 2 to 1000000], bounds above 0"},
    Generator{"range", make_range, "[start, end (excluded)] or [start, end, step], step not 0"},
    Generator{"random", make_random,
              "{ uniform = [low, high], n = number of values from 1 to 1000000, seed = integer }, or "
              "log_uniform with "
              "bounds above 0"},
};

const Generator* find_generator(std::string_view name) {
  const auto* found = std::find_if(generators.begin(), generators.end(),
                                   [=](const Generator& row) { return row.name == name; });
  return found == generators.end() ? nullptr : found;
}

bool takes_integers(Type type) {
  return type == Type::integer || type == Type::seed || type == Type::integer_or_text;
}

bool takes_reals(Type type) { return type == Type::real || type == Type::real_or_text; }

/// Integers of a generator as they are; reals to the nearest integer.
std::int64_t to_integer(std::int64_t number) { return number; }
std::int64_t to_integer(double number) { return std::llround(number); }

bool fits_integer(std::int64_t) { return true; }
bool fits_integer(double number) { return std::abs(number) < 0x1p63; }

template <class Number>
Value value_for(const Key& key, Number number, const Place& place) {
  if (takes_reals(key.type)) return round_generated(static_cast<double>(number), 0.0);
  if (fits_integer(number)) return to_integer(number);
  throw error_at(place, key.name, fmt::format("made {}; expected an integer below 2^63", number));
}

std::vector<Value> values_for(const Key& key, const Numbers& numbers, const Place& place) {
  std::vector<Value> values;
  std::visit(
      [&](const auto& made) {
        values.reserve(made.size());
        for (const auto number : made) values.push_back(accept(key, value_for(key, number, place), place));
      },
      numbers);
  return values;
}

}  // namespace

bool is_generator(const Item& item) {
  const auto* table = std::get_if<Table>(&item.content);
  return table && table->size() == 1 && find_generator(table->front().name);
}

std::string generator_names() { return names_of(std::span<const Generator>(generators)); }

std::vector<Value> generate(const Key& key, const Item& item) {
  expect(is_generator(item), "a generator");
  const Entry& entry = std::get<Table>(item.content).front();
  const Generator& generator = *find_generator(entry.name);
  if (!takes_integers(key.type) && !takes_reals(key.type)) {
    throw error_at(item.place, key.name,
                   fmt::format("read {}, which makes numbers; expected an array of values, each {}",
                               entry.name, expected(key.type)));
  }
  const Made numbers = generator.make(entry.item);
  if (!numbers) {
    throw error_at(entry.item.place, key.name, fmt::format("expected {} = {}", entry.name, generator.form));
  }
  const std::size_t size = std::visit([](const auto& made) { return made.size(); }, *numbers);
  if (size == 0) throw error_at(item.place, key.name, "the range is empty; expected at least one value");
  if (size > longest_axis) {
    throw error_at(item.place, key.name, fmt::format("expected at most {} values on one axis", longest_axis));
  }
  return values_for(key, *numbers, item.place);
}

}  // namespace gradflow::sweep
