#include "gradflow/store/schema.hpp"

#include <algorithm>

#include "gradflow/core/parallel.hpp"

namespace gradflow::store {

std::vector<int> layers_of(const FileSchema& schema, std::uint64_t point) {
  if (const auto* same = std::get_if<std::vector<int>>(&schema.layers)) return *same;
  return std::get<LayersOf>(schema.layers)(point);
}

std::vector<std::uint64_t> point_hashes(const FileSchema& schema, std::uint64_t first, std::uint64_t points) {
  constexpr std::uint64_t share = 4096;
  std::vector<std::uint64_t> hashes(points);
  parallel_for(int((points + share - 1) / share), [&](int i) {
    const std::uint64_t begin = std::uint64_t(i) * share;
    for (std::uint64_t k = begin; k < std::min(begin + share, points); ++k)
      hashes[k] = schema.point_hash(first + k);
  });
  return hashes;
}

}  // namespace gradflow::store
