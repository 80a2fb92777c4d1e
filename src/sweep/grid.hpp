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

/// Where a swept key stands.
struct Swept {
  std::size_t axis, column;
};

/// A key that enters point_hash.
struct HashedKey {
  std::string name;
  std::string fallback;  ///< canonical; empty if the key has none
};

/// What point_hash hashes: for each hashed key "name=value\n", or nothing for a default or an absent value.
using HashLines = std::vector<std::string>;

/// Everything that a sweep and its points share.
struct Grid {
  Grid(Schema its_schema, Contents its_contents)
      : schema(std::move(its_schema)), contents(std::move(its_contents)) {}
  /// The value outside the axes: given or by default; nullptr if absent.
  const Value* unswept(const Key& key) const;

  Schema schema;
  Contents contents;
  std::string text;
  std::filesystem::path file;
  std::vector<std::string> overrides;
  std::uint64_t size = 1;
  std::map<std::string, Swept, std::less<>> swept;
  std::vector<HashedKey> hashed_keys;  ///< sorted by name
  HashLines fixed_lines;               ///< what the values outside the axes say
};

std::vector<HashedKey> hashed_keys_of(const Schema& schema);

/// @pre grid.hashed_keys and grid.swept are filled
HashLines fixed_lines_of(const Grid& grid);

/// Writes what `value` says into the lines of the keys that it is spelled in.
void write_lines(const Grid& grid, const Key& key, const Value& value, HashLines& lines);

}  // namespace gradflow::sweep
