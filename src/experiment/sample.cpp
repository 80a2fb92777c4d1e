#include "sample.hpp"

#include <cmath>
#include <numbers>

namespace gradflow::experiment {

std::vector<std::uint64_t> sample(std::uint64_t size, std::uint64_t most) {
  std::vector<std::uint64_t> indices;
  if (size <= most) {
    for (std::uint64_t k = 0; k < size; ++k) indices.push_back(k);
    return indices;
  }
  for (std::uint64_t i = 0; i < most; ++i) {
    const double turns = double(i) * std::numbers::phi;
    indices.push_back(std::uint64_t((turns - std::floor(turns)) * double(size)));
  }
  return indices;
}

}  // namespace gradflow::experiment
