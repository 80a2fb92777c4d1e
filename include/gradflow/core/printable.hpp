#pragma once

#include <string>
#include <string_view>

namespace gradflow {

/// Text of a file made fit for a terminal: control characters, what turns the direction of writing, and bytes
/// that are no UTF-8 become "?".
std::string printable(std::string_view text);

/// The same for several lines: line breaks and tabs stay.
std::string printable_lines(std::string_view text);

}  // namespace gradflow
