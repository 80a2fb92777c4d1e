#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gradflow::sweep {

/// In double quotes, every byte of control written as \xHH: what is printed stays on one line.
std::string in_quotes(std::string_view text);

/// in_quotes() of at most the first 60 bytes.
std::string in_quotes_briefly(std::string_view text);

/// The shortest decimal form that reads back as the same number, told from an integer by its point or
/// exponent.
std::string display_real(double value);

/// The candidate that differs from `text` by the fewest edits; empty if none is within a third of its length.
std::string nearest(std::string_view text, const std::vector<std::string>& candidates);

}  // namespace gradflow::sweep
