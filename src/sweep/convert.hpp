#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "document.hpp"
#include "gradflow/sweep/schema.hpp"

namespace gradflow::sweep {

/// The number, from an integer too, never -0; none for any other type.
std::optional<double> real_in(const Item& item);

/// The entries of a list of integers; none for any other type.
std::optional<std::vector<std::int64_t>> integers_in(const Item& item);

/// The 64 bits of a seed; none for anything but an integer or the digits of a uint64 in quotes.
std::optional<std::int64_t> seed_in(const Item& item);

/// The value of `key` that `item` holds.
/// @param advice  ends the message about a wrong type
/// @throws UserError for a wrong type, a number that is not finite, and what the key complains about
Value read_value(const Key& key, const Item& item, std::string_view advice = "");

/// `value`, unless it is not finite or the key complains about it.
Value accept(const Key& key, Value value, const Place& place);

}  // namespace gradflow::sweep
