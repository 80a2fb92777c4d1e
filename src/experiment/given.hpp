#pragma once

#include <string_view>

#include "gradflow/sweep/sweep.hpp"

namespace gradflow::experiment {

/// Whether the user wrote the key, rather than leaving it to its default.
inline bool given(const sweep::SweepPoint& point, std::string_view key) {
  return point.has(key) && (point.place_of(key).line > 0 || point.place_of(key).file.starts_with("--set"));
}

}  // namespace gradflow::experiment
