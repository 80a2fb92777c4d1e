#include "grid.hpp"

#include <algorithm>

#include "gradflow/core/errors.hpp"

namespace gradflow::sweep {

const Value* Grid::unswept(const Key& key) const {
  const auto given = contents.fixed.find(key.name);
  if (given != contents.fixed.end()) return &given->second.value;
  return key.fallback ? &*key.fallback : nullptr;
}

std::vector<HashedKey> hashed_keys_of(const Schema& schema) {
  std::vector<HashedKey> keys;
  for (const Key& key : schema.keys()) {
    if (key.enters_hash) keys.push_back({key.name, key.fallback ? canonical(*key.fallback) : ""});
  }
  std::ranges::sort(keys, {}, &HashedKey::name);
  return keys;
}

HashLines fixed_lines_of(const Grid& grid) {
  HashLines lines(grid.hashed_keys.size());
  for (const Key& key : grid.schema.keys()) {
    if (!key.enters_hash || grid.swept.contains(key.name)) continue;
    if (const Value* value = grid.unswept(key)) write_lines(grid, key, *value, lines);
  }
  return lines;
}

void write_lines(const Grid& grid, const Key& key, const Value& value, HashLines& lines) {
  for (const auto& [name, said] : spelled(key, value)) {
    const auto hashed = std::ranges::lower_bound(grid.hashed_keys, name, {}, &HashedKey::name);
    expect(hashed != grid.hashed_keys.end() && hashed->name == name, name + " enters the hash");
    const std::string text = canonical(said);
    if (text == hashed->fallback) continue;
    lines[std::size_t(hashed - grid.hashed_keys.begin())] = name + '=' + text + '\n';
  }
}

}  // namespace gradflow::sweep
