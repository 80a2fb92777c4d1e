#pragma once

#include <cstddef>
#include <vector>

namespace gradflow::report {

/// Up to `most` of the indices 0 .. count - 1, evenly spaced, the first and the last among them.
inline std::vector<std::size_t> evenly_chosen(std::size_t count, std::size_t most) {
  std::vector<std::size_t> chosen;
  const std::size_t size = count < most ? count : most;
  for (std::size_t i = 0; i < size; ++i) chosen.push_back(size == 1 ? 0 : i * (count - 1) / (size - 1));
  return chosen;
}

}  // namespace gradflow::report
