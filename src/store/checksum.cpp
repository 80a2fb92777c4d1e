#include "gradflow/store/checksum.hpp"

#include <bit>
#include <cstring>
#include <vector>

#include "gradflow/core/errors.hpp"
#include "gradflow/core/hash.hpp"

namespace gradflow::store {
namespace {

static_assert(std::endian::native == std::endian::little, "checksums are defined on little-endian bytes");

/// The bytes that are hashed for one row: point hash, name, layer, values. The last two are exchanged from
/// row to row.
class HashedRow {
 public:
  HashedRow(std::uint64_t point_hash, const stats::Column& column)
      : layer_(sizeof point_hash + column.name.size()),
        bytes_(layer_ + sizeof(std::uint64_t) + std::size_t(column.extent) * sizeof(double)) {
    std::memcpy(bytes_.data(), &point_hash, sizeof point_hash);
    std::memcpy(bytes_.data() + sizeof point_hash, column.name.data(), column.name.size());
  }

  std::uint64_t hash(std::uint64_t layer, const double* values) {
    const std::size_t first_value = layer_ + sizeof layer;
    std::memcpy(bytes_.data() + layer_, &layer, sizeof layer);
    std::memcpy(bytes_.data() + first_value, values, bytes_.size() - first_value);
    return xxh64({bytes_.data(), bytes_.size()});
  }

 private:
  std::size_t layer_;  ///< where its bytes begin
  std::vector<char> bytes_;
};

}  // namespace

std::uint64_t checksum(std::uint64_t point_hash, const stats::Column& column, std::span<const int> layers,
                       std::span<const double> values) {
  if (column.run_fact) return 0;
  const std::size_t extent = std::size_t(column.extent);
  const std::size_t rows = column.per_layer ? layers.size() : 1;
  expect(values.size() == rows * extent, "as many values as the rows of a column have");

  HashedRow row(point_hash, column);
  std::uint64_t sum = 0;
  for (std::size_t r = 0; r < rows; ++r) {
    sum += row.hash(column.per_layer ? std::uint64_t(layers[r]) : 0, values.data() + r * extent);
  }
  return sum;
}

}  // namespace gradflow::store
