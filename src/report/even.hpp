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

/// The indices 0, n, 2n, ... below count, with the smallest n that leaves at most `most` of them: for labels.
inline std::vector<std::size_t> every_nth(std::size_t count, std::size_t most) {
  std::vector<std::size_t> chosen;
  const std::size_t n = count == 0 ? 1 : (count + most - 1) / most;
  for (std::size_t i = 0; i < count; i += n) chosen.push_back(i);
  return chosen;
}

}  // namespace gradflow::report
