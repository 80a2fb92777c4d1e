#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gradflow::sweep {

inline constexpr std::size_t largest_file = std::size_t(1) << 20;  // bytes
inline constexpr int most_key_parts = 16;

/// Refuses what the TOML parser cannot survive: it descends once per part of a key, and 50,000 parts overflow
/// the stack.
/// @throws UserError for more than 1 MiB and for a key of more than 16 parts
void check_limits(std::string_view text, const std::string& file);

}  // namespace gradflow::sweep
