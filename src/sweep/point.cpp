#include <utility>

#include "gradflow/core/hash.hpp"
#include "gradflow/sweep/sweep.hpp"
#include "grid.hpp"

namespace gradflow::sweep {

namespace {

template <class T>
const T& alternative(const Value& value, std::string_view key) {
  const T* held = std::get_if<T>(&value);
  expect(held != nullptr, "the type asked for in the value of " + std::string(key));
  return *held;
}

const Key& known(const Grid& grid, std::string_view name) {
  const Key* key = grid.schema.find(name);
  expect(key != nullptr, "the key " + std::string(name) + " in the schema");
  return *key;
}

}  // namespace

SweepPoint::SweepPoint(std::shared_ptr<const Grid> grid, std::uint64_t index)
    : grid_(std::move(grid)), index_(index), positions_(grid_->contents.axes.size()) {
  for (std::size_t axis = positions_.size(); axis-- > 0;) {  // the last axis is the fastest
    const std::size_t length = grid_->contents.axes[axis].size();
    positions_[axis] = index % length;
    index /= length;
  }
}

bool SweepPoint::has(std::string_view key) const {
  return grid_->swept.contains(key) || grid_->unswept(known(*grid_, key));
}

const Value& SweepPoint::at(std::string_view key) const {
  const auto swept = grid_->swept.find(key);
  if (swept != grid_->swept.end()) {
    const auto [axis, column] = swept->second;
    return grid_->contents.axes[axis].columns[column].values[positions_[axis]];
  }
  const Value* value = grid_->unswept(known(*grid_, key));
  expect(value != nullptr, "a value for " + std::string(key));
  return *value;
}

bool SweepPoint::boolean(std::string_view key) const { return alternative<bool>(at(key), key); }

std::int64_t SweepPoint::integer(std::string_view key) const {
  return alternative<std::int64_t>(at(key), key);
}

double SweepPoint::real(std::string_view key) const { return alternative<double>(at(key), key); }

const std::string& SweepPoint::text(std::string_view key) const {
  return alternative<std::string>(at(key), key);
}

const NamedValue& SweepPoint::name(std::string_view key) const {
  return alternative<NamedValue>(at(key), key);
}

const std::vector<std::int64_t>& SweepPoint::integers(std::string_view key) const {
  return alternative<std::vector<std::int64_t>>(at(key), key);
}

std::uint64_t SweepPoint::seed(std::string_view key) const {
  return static_cast<std::uint64_t>(integer(key));
}

const std::filesystem::path& SweepPoint::file() const { return grid_->file; }

Place SweepPoint::place_of(std::string_view key) const {
  const auto swept = grid_->swept.find(key);
  if (swept != grid_->swept.end()) {
    const auto [axis, column] = swept->second;
    return grid_->contents.axes[axis].columns[column].place_of(positions_[axis]);
  }
  const auto given = grid_->contents.fixed.find(known(*grid_, key).name);
  return given == grid_->contents.fixed.end() ? Place{grid_->file.string(), 0, 0} : given->second.place;
}

UserError SweepPoint::error(std::string_view key, std::string_view message) const {
  return error_at(place_of(key), key, message);
}

std::uint64_t SweepPoint::hash() const {
  HashLines lines = grid_->fixed_lines;
  for (const auto& [key, where] : grid_->swept) write_lines(*grid_, known(*grid_, key), at(key), lines);
  std::string text;
  for (const std::string& line : lines) text += line;
  return xxh64(text);
}

}  // namespace gradflow::sweep
