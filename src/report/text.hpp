#pragma once

#include <string>
#include <string_view>

#include "gradflow/core/printable.hpp"

namespace gradflow::report {

/// Printable text made fit for HTML and SVG.
std::string escaped(std::string_view text);

/// The same for several lines: line breaks and tabs stay.
std::string escaped_lines(std::string_view text);

/// "0.0123", with `digits` significant digits; "-" for NaN, "-inf".
std::string figures(double value, int digits = 3);

/// `list`, then `next`, with ", " between them unless one is empty.
std::string listed(const std::string& list, std::string_view next);

}  // namespace gradflow::report
