#include "gradflow/store/checksum.hpp"

#include <bit>
#include <cstring>
#include <vector>

#include "gradflow/core/errors.hpp"
#include "gradflow/core/hash.hpp"

namespace gradflow::store {
namespace {

static_assert(std::endian::native == std::endian::little, "checksums are defined on little-endian bytes");

/// The bytes that are hashed for one row; layer and values are exchanged from row to row.
class HashedRow {
 public:
  HashedRow(std::uint64_t point_hash, const stats::Column& column)
      : values_bytes_(std::size_t(column.extent) * sizeof(double)),
        bytes_(2 * sizeof(std::uint64_t) + values_bytes_ + column.name.size()) {
    std::memcpy(bytes_.data(), &point_hash, sizeof point_hash);
    std::memcpy(bytes_.data() + 2 * sizeof(std::uint64_t) + values_bytes_, column.name.data(),
                column.name.size());
  }

  std::uint64_t hash(std::uint64_t layer, const double* values) {
    std::memcpy(bytes_.data() + sizeof layer, &layer, sizeof layer);
    std::memcpy(bytes_.data() + 2 * sizeof layer, values, values_bytes_);
    return xxh64({bytes_.data(), bytes_.size()});
  }

 private:
  std::size_t values_bytes_;
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
