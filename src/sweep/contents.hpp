#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "document.hpp"
#include "gradflow/sweep/axis.hpp"
#include "gradflow/sweep/schema.hpp"

namespace gradflow::sweep {

struct Setting {
  Value value;
  Place place;
};

/// What a sweep file and its overrides say: fixed values, and axes in file order. An axis wins over a fixed
/// value.
struct Contents {
  std::map<std::string, Setting, std::less<>> fixed;
  std::vector<Axis> axes;
};

/// @throws UserError for unknown keys, wrong types, impossible values, empty axes, keys on two axes
Contents read_contents(const Table& document, const Schema& schema);

/// The values of a key on an axis: an array or a generator.
/// @throws UserError for anything else, for no value, and if the key may not be swept
Column read_column(const Key& key, const Item& item);

/// Carries out `--set option`: a value replaces fixed value and axis, an array or generator becomes the key's
/// axis, at the old one's place or behind the last.
/// @throws UserError as read_contents(), with the option as place
void apply_override(Contents& contents, const Schema& schema, const std::string& option);

/// The number of points.
/// @throws UserError for columns of unequal lengths, combinations that occur twice however they are written,
/// and 2^64 points or more
std::uint64_t checked_size(const std::vector<Axis>& axes, const Schema& schema, const std::string& file);

}  // namespace gradflow::sweep
