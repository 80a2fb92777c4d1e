#include "piece.hpp"

#include <cstring>
#include <span>

#include "gradflow/core/errors.hpp"
#include "gradflow/store/checksum.hpp"

namespace gradflow::store {
namespace {

/// What of a piece has a fixed size.
struct Head {
  std::uint64_t point;
  std::uint64_t checksum;
  Failure failure;
  std::int32_t first_row;
  std::int32_t rows;
  std::int32_t is_last;
};

void append(mpi::Buffer& message, const void* bytes, std::size_t count) {
  const auto* first = static_cast<const std::byte*>(bytes);
  message.insert(message.end(), first, first + count);
}

template <class T>
void append_number(mpi::Buffer& message, const T& value) {
  append(message, &value, sizeof value);
}

/// Reads a message from its beginning.
class Reader {
 public:
  explicit Reader(const mpi::Buffer& message) : rest_(message) {}

  bool at_end() const noexcept { return rest_.empty(); }
  void take(void* to, std::size_t count) {
    expect(count <= rest_.size(), "a message of pieces is whole");
    if (count > 0) std::memcpy(to, rest_.data(), count);
    rest_ = rest_.subspan(count);
  }
  template <class T>
  T number() {
    T value{};
    take(&value, sizeof value);
    return value;
  }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace

Piece piece_of(std::uint64_t point, std::uint64_t point_hash, const stats::PointTable& rows, Failure failure,
               const std::vector<int>& layers, const TravelRule& rule, bool with_point_values) {
  Piece piece{point, 0, failure, rows.first_row(), rows.rows(), true, {}};
  piece.values.resize(rows.columns().size());
  const auto own_layers = std::span(layers).subspan(std::size_t(rows.first_row()), std::size_t(rows.rows()));
  for (std::size_t c = 0; c < rows.columns().size(); ++c) {
    const stats::Column& column = rows.columns()[c];
    if (!column.per_layer && !with_point_values) continue;
    const std::span<const double> values = rows.values(int(c));
    piece.checksum += checksum(point_hash, column, own_layers, values);
    if (rule.travels(column, layers.size())) piece.values[c].assign(values.begin(), values.end());
  }
  return piece;
}

mpi::Buffer packed(const std::vector<Piece>& pieces) {
  mpi::Buffer message;
  for (const Piece& piece : pieces) {
    append_number(message, Head{piece.point, piece.checksum, piece.failure, piece.first_row, piece.rows,
                                piece.is_last ? 1 : 0});
    for (const TravellingValues& values : piece.values) {
      append_number(message, std::uint64_t(values.size()));
      append(message, values.data(), values.size() * sizeof(double));
    }
  }
  return message;
}

std::vector<Piece> unpacked(const mpi::Buffer& message, std::size_t columns) {
  std::vector<Piece> pieces;
  Reader reader(message);
  while (!reader.at_end()) {
    const Head head = reader.number<Head>();
    Piece& piece = pieces.emplace_back();
    piece = {head.point, head.checksum, head.failure, head.first_row, head.rows, head.is_last != 0, {}};
    for (std::size_t c = 0; c < columns; ++c) {
      TravellingValues& values = piece.values.emplace_back(reader.number<std::uint64_t>());
      reader.take(values.data(), values.size() * sizeof(double));
    }
  }
  return pieces;
}

}  // namespace gradflow::store
