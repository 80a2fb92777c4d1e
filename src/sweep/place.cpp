#include "gradflow/sweep/place.hpp"

#include <fmt/format.h>

namespace gradflow::sweep {

std::string text_of(const Place& place) {
  if (place.line == 0) return place.file;
  return fmt::format("{}:{}:{}", place.file, place.line, place.column);
}

UserError error_at(const Place& place, std::string_view key, std::string_view message) {
  return UserError(fmt::format("{}: {}: {}", text_of(place), key, message));
}

}  // namespace gradflow::sweep
