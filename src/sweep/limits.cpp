#include "limits.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "gradflow/sweep/place.hpp"

namespace gradflow::sweep {

namespace {

bool may_stand_in_key(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-' ||
         c == '.' || c == ' ' || c == '\t' || static_cast<unsigned char>(c) >= 128;
}

std::size_t end_of_line(std::string_view text, std::size_t from) {
  return std::min(text.find('\n', from), text.size());
}

/// The index of the quotes that close a string, or of the end of the line if they are not three.
std::size_t find_closing(std::string_view text, std::size_t from, std::string_view closing) {
  const bool escapes = closing.front() == '"';
  const bool long_form = closing.size() == 3;
  for (std::size_t i = from; i < text.size(); ++i) {
    if (text.substr(i, closing.size()) == closing || (text[i] == '\n' && !long_form)) return i;
    if (escapes && text[i] == '\\') ++i;
  }
  return text.size();
}

/// The index after a string that begins with the quote at `begin`. An unclosed one ends where the parser
/// gives up.
std::size_t end_of_string(std::string_view text, std::size_t begin) {
  const char quote = text[begin];
  const std::string triple(3, quote);
  if (text.substr(begin, 3) != triple) {
    return std::min(find_closing(text, begin + 1, triple.substr(0, 1)) + 1, text.size());
  }
  std::size_t end = std::min(find_closing(text, begin + 3, triple) + 3, text.size());
  // Up to two quotes may stand right before the closing three.
  for (int extra = 0; extra < 2 && end < text.size() && text[end] == quote; ++extra) ++end;
  return end;
}

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }  // of UTF-8

Place place_of(std::string_view text, std::size_t index, const std::string& file) {
  const std::string_view before = text.substr(0, index);
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const std::string_view line = before.substr(before.rfind('\n') + 1);
  const auto columns = std::count_if(line.begin(), line.end(), begins_character);
  return {file, static_cast<int>(lines) + 1, static_cast<int>(columns) + 1};
}

/// The index of the dot that begins part 17 of a key, or npos. One pass: a key is a run of bare characters,
/// dots and strings; everything else ends it.
std::size_t find_long_key(std::string_view text) {
  int dots = 0;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      i = end_of_string(text, i);
    } else if (c == '#') {
      i = end_of_line(text, i);
    } else {
      if (!may_stand_in_key(c)) dots = 0;
      if (c == '.' && ++dots == most_key_parts) return i;
      ++i;
    }
  }
  return std::string_view::npos;
}

}  // namespace

void check_limits(std::string_view text, const std::string& file) {
  if (text.size() > largest_file) {
    throw UserError(fmt::format("{}: the file is too large; expected at most {} bytes", file, largest_file));
  }
  const std::size_t index = find_long_key(text);
  if (index == std::string_view::npos) return;
  throw error_at(place_of(text, index, file), "key",
                 fmt::format("too many parts; expected at most {}", most_key_parts));
}

}  // namespace gradflow::sweep
