#include "gradflow/report/plane.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "gradflow/core/errors.hpp"
#include "text.hpp"

namespace gradflow::report {
namespace {

using Key = std::size_t;  ///< position in Configuration::values
using Configurations = std::vector<Configuration>;

PlaneAxis axis_of(const Configurations& all, Key key) {
  std::vector<KeyValue> values;
  std::set<std::string> seen;
  for (const Configuration& configuration : all) {
    if (seen.insert(configuration.values[key].text).second) values.push_back(configuration.values[key]);
  }
  PlaneAxis axis{all.front().values[key].key, {}, {}};
  for (const KeyValue& value : values) axis.numbers.push_back(value.number);
  if (axis.is_numeric()) {
    std::ranges::sort(values, {}, &KeyValue::number);
    std::ranges::sort(axis.numbers);
  }
  for (const KeyValue& value : values) axis.texts.push_back(value.text.empty() ? "none" : value.text);
  return axis;
}

PlaneAxis no_axis() { return {"", {""}, {std::numeric_limits<double>::quiet_NaN()}}; }

/// Whether configurations with equal `first` always have equal `second`.
bool follows_from(const Configurations& all, Key first, Key second) {
  std::map<std::string, std::string> known;
  return std::ranges::all_of(all, [&](const Configuration& configuration) {
    const std::string& value = configuration.values[second].text;
    return known.emplace(configuration.values[first].text, value).first->second == value;
  });
}

/// Keys worth an axis, those with most values first.
std::vector<Key> independent_keys(const Configurations& all) {
  std::vector<Key> keys(all.front().values.size());
  std::iota(keys.begin(), keys.end(), Key(0));
  std::ranges::stable_sort(keys, std::ranges::greater(), [&](Key key) { return axis_of(all, key).size(); });

  std::vector<Key> independent;
  for (const Key key : keys) {
    const bool follows =
        std::ranges::any_of(independent, [&](Key other) { return follows_from(all, other, key); });
    if (!follows && axis_of(all, key).size() > 1) independent.push_back(key);
  }
  return independent;
}

/// The first two keys, a number across if there is one.
///
/// A text that follows from the number across goes up, before any other key: its values are of different
/// kinds, and no line may join them.
std::vector<Key> keys_by_axis(const Configurations& all) {
  std::vector<Key> keys = independent_keys(all);
  const auto is_numeric = [&](Key key) { return axis_of(all, key).is_numeric(); };
  if (keys.size() > 1 && !is_numeric(keys[0]) && is_numeric(keys[1])) std::swap(keys[0], keys[1]);
  if (keys.empty() || !is_numeric(keys[0])) return keys;
  for (Key key = 0; key < all.front().values.size(); ++key) {
    const bool is_kind = axis_of(all, key).size() > 1 && !is_numeric(key) && follows_from(all, keys[0], key);
    if (!is_kind || (keys.size() > 1 && follows_from(all, keys[1], key))) continue;
    keys.insert(keys.begin() + 1, key);
    return keys;
  }
  return keys;
}

std::size_t position(const PlaneAxis& axis, const Configuration& configuration) {
  if (axis.key.empty()) return 0;
  const auto value = std::ranges::find(configuration.values, axis.key, &KeyValue::key);
  const std::string text = value->text.empty() ? "none" : value->text;
  return std::size_t(std::ranges::find(axis.texts, text) - axis.texts.begin());
}

/// The values of the keys without an axis, as a person reads them.
std::string held_at(const Configuration& configuration, const std::vector<Key>& keys) {
  std::string held;
  for (std::size_t i = 2; i < keys.size(); ++i) {
    const KeyValue& value = configuration.values[keys[i]];
    held = listed(held, value.key + " = " + (value.text.empty() ? "none" : value.text));
  }
  return held;
}

}  // namespace

bool PlaneAxis::is_numeric() const {
  return std::ranges::all_of(numbers, [](double number) { return std::isfinite(number); });
}

Plane plane_of(const Configurations& configurations) { return planes_of(configurations).front(); }

std::vector<Plane> planes_of(const Configurations& configurations) {
  expect(!configurations.empty(), "a plane of at least one configuration");
  const std::vector<Key> keys = keys_by_axis(configurations);
  const Plane empty{keys.empty() ? no_axis() : axis_of(configurations, keys[0]),
                    keys.size() < 2 ? no_axis() : axis_of(configurations, keys[1]),
                    {},
                    ""};

  std::vector<Plane> planes;
  std::map<std::string, std::size_t> known;
  for (std::size_t i = 0; i < configurations.size(); ++i) {
    const std::string held = held_at(configurations[i], keys);
    const auto [place, is_new] = known.emplace(held, planes.size());
    if (is_new) {
      planes.push_back(empty);
      planes.back().held = held;
    }
    Plane& plane = planes[place->second];
    const std::size_t row = position(plane.up, configurations[i]);
    plane.cells[row * plane.across.size() + position(plane.across, configurations[i])] = i;
  }
  return planes;
}

}  // namespace gradflow::report
