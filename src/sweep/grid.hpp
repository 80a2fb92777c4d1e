#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "contents.hpp"
#include "gradflow/sweep/schema.hpp"

namespace gradflow::sweep {

/// One line of the text that point_hash hashes, apart from what depends on the point.
struct HashLine {
  const Key* key = nullptr;
  std::string fallback;    ///< canonical; empty if the key has none
  std::string fixed_line;  ///< of a key that is not swept; empty if it equals its default
};

/// Where a swept key stands.
struct Swept {
  std::size_t axis, column;
};

/// Everything that a sweep and its points share.
struct Grid {
  Grid(Schema its_schema, Contents its_contents)
      : schema(std::move(its_schema)), contents(std::move(its_contents)) {}
  Grid(const Grid&) = delete;  // hash_lines point into schema
  Grid& operator=(const Grid&) = delete;

  /// The value outside the axes: given or by default; nullptr if absent.
  const Value* unswept(const Key& key) const;

  Schema schema;
  Contents contents;
  std::string text;
  std::filesystem::path file;
  std::vector<std::string> overrides;
  std::uint64_t size = 1;
  std::map<std::string, Swept, std::less<>> swept;
  std::vector<HashLine> hash_lines;  ///< sorted by key
};

/// "key=value\n", or nothing if the value is the default.
std::string hash_line(const HashLine& line, const Value& value);

std::vector<HashLine> hash_lines_of(const Grid& grid);

}  // namespace gradflow::sweep
