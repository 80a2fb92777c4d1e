#include "gradflow/store/schema.hpp"

namespace gradflow::store {

std::vector<int> layers_of(const FileSchema& schema, std::uint64_t point) {
  if (const auto* same = std::get_if<std::vector<int>>(&schema.layers)) return *same;
  return std::get<LayersOf>(schema.layers)(point);
}

}  // namespace gradflow::store
