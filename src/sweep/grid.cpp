#include "grid.hpp"

#include <algorithm>

namespace gradflow::sweep {

const Value* Grid::unswept(const Key& key) const {
  const auto given = contents.fixed.find(key.name);
  if (given != contents.fixed.end()) return &given->second.value;
  return key.fallback ? &*key.fallback : nullptr;
}

std::string hash_line(const HashLine& line, const Value& value) {
  const std::string text = canonical(value);
  return text == line.fallback ? "" : line.key->name + '=' + text + '\n';
}

std::vector<HashLine> hash_lines_of(const Grid& grid) {
  std::vector<HashLine> lines;
  for (const Key& key : grid.schema.keys()) {
    if (!key.enters_hash) continue;
    HashLine line{&key, key.fallback ? canonical(*key.fallback) : "", ""};
    if (const Value* value = grid.unswept(key)) line.fixed_line = hash_line(line, *value);
    lines.push_back(std::move(line));
  }
  std::sort(lines.begin(), lines.end(),
            [](const HashLine& a, const HashLine& b) { return a.key->name < b.key->name; });
  return lines;
}

}  // namespace gradflow::sweep
