#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "gradflow/core/failure.hpp"
#include "gradflow/stats/table.hpp"
#include "gradflow/store/result_store.hpp"

namespace gradflow::store {

/// One stage's rows of one point, not yet written.
struct MeasuredPoint {
  std::uint64_t point = 0;
  stats::PointTable rows;
  Failure failure;
  std::vector<int> layers;  ///< numbers of all stored layers of the point
};

/// Consecutive points that this rank has measured and will write together.
class OpenBlock {
 public:
  bool empty() const noexcept { return points_.empty(); }

  /// Whether a point of this number can join.
  bool continues_with(std::uint64_t point) const { return empty() || point == points_.back().point + 1; }
  void add(MeasuredPoint point) {
    if (empty()) opened_ = Clock::now();
    bytes_ += point.rows.all().size_bytes();
    points_.push_back(std::move(point));
  }

  bool is_full(const StoreOptions& limits) const {
    return points_.size() >= std::size_t(limits.block_points) || bytes_ >= limits.block_bytes ||
           is_old(limits);
  }
  bool is_old(const StoreOptions& limits) const {
    return !empty() && std::chrono::duration<double>(Clock::now() - opened_).count() >= limits.block_seconds;
  }

  /// The points, and an empty block.
  std::vector<MeasuredPoint> take() {
    bytes_ = 0;
    return std::exchange(points_, {});
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::vector<MeasuredPoint> points_;
  std::size_t bytes_ = 0;
  Clock::time_point opened_;
};

}  // namespace gradflow::store
