#pragma once

#include <string>
#include <vector>

#include "document.hpp"
#include "gradflow/sweep/schema.hpp"

namespace gradflow::sweep {

/// Whether the item stands for numbers: a table whose one key is linspace, logspace, range or random.
bool is_generator(const Item& item);

/// "linspace logspace range random", for messages.
std::string generator_names();

/// The values that a generator makes for `key`: rounded to 12 significant digits, for integers to the nearest
/// integer.
/// @pre is_generator(item)
/// @throws UserError for wrong arguments, a key that takes no numbers, no value or more than longest_axis
std::vector<Value> generate(const Key& key, const Item& item);

}  // namespace gradflow::sweep
