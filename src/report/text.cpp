#include "text.hpp"

#include <cmath>

#include <fmt/format.h>

#include "gradflow/core/printable.hpp"

namespace gradflow::report {

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::string escaped_lines(std::string_view text) {
  std::string safe;
  while (!text.empty()) {
    const std::size_t end = text.find_first_of("\n\t");
    safe += escaped(text.substr(0, end));
    if (end == std::string_view::npos) break;
    safe += text[end];
    text.remove_prefix(end + 1);
  }
  return safe;
}

std::string figures(double value, int digits) {
  if (std::isnan(value)) return "-";
  return fmt::format("{:.{}g}", value, digits);
}

std::string listed(const std::string& list, std::string_view next) {
  if (list.empty() || next.empty()) return list + std::string(next);
  return list + ", " + std::string(next);
}

}  // namespace gradflow::report
