#include "gradflow/core/printable.hpp"

#include <cstdint>

namespace gradflow {
namespace {

/// Bytes of the UTF-8 character that `text` begins with; 0 if it begins with none.
std::size_t character_bytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t bytes = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead >= 0xF5 || (lead >= 0x80 && lead < 0xC2) || bytes > text.size()) return 0;
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 0;
  }
  return bytes;
}

std::uint32_t code_of(std::string_view character) {
  const auto byte = [&](std::size_t i) { return std::uint32_t(static_cast<unsigned char>(character[i])); };
  const std::size_t bytes = character.size();
  std::uint32_t code = bytes == 1 ? byte(0) : byte(0) & (0x7Fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) code = code << 6 | (byte(i) & 0x3F);
  return code;
}

/// What a terminal obeys, XML forbids, or turns the direction of writing.
bool is_forbidden(std::uint32_t code) {
  const bool control = code < 0x20 || (code >= 0x7F && code < 0xA0);
  const bool direction = (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
  const bool no_character = (code >= 0xD800 && code < 0xE000) || (code & 0xFFFE) == 0xFFFE || code > 0x10FFFF;
  return control || direction || no_character;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string clean;
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    const bool keep = bytes > 0 && !is_forbidden(code_of(text.substr(0, bytes)));
    clean += keep ? text.substr(0, bytes) : "?";
    text.remove_prefix(bytes > 0 ? bytes : 1);
  }
  return clean;
}

std::string printable_lines(std::string_view text) {
  std::string clean;
  for (;;) {
    const std::size_t end = text.find_first_of("\n\t");
    clean += printable(text.substr(0, end));
    if (end == std::string_view::npos) return clean;
    clean += text[end];
    text.remove_prefix(end + 1);
  }
}

}  // namespace gradflow
