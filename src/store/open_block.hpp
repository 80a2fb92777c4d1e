#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "gradflow/core/failure.hpp"
#include "gradflow/stats/table.hpp"
#include "gradflow/store/result_store.hpp"

namespace gradflow::store {

/// One stage's rows of one point, all or a part of them, not yet written.
struct MeasuredPoint {
  std::uint64_t point = 0;
  stats::PointTable rows;
  Failure failure;
  std::shared_ptr<const std::vector<int>> layers;  ///< numbers of all stored layers of the point
  bool is_last = true;                             ///< no other part follows
};

/// Points that this rank has measured and will write together, in whatever order they were finished.
class OpenBlock {
 public:
  bool empty() const noexcept { return points_.empty(); }

  void add(MeasuredPoint point) {
    if (empty()) opened_ = Clock::now();
    bytes_ += point.rows.all().size_bytes();
    finished_ += point.is_last ? 1 : 0;
    points_.push_back(std::move(point));
  }

  bool is_full(const StoreOptions& limits) const {
    return finished_ >= limits.block_points || bytes_ >= limits.block_bytes || is_old(limits);
  }
  bool is_old(const StoreOptions& limits) const {
    return !empty() && std::chrono::duration<double>(Clock::now() - opened_).count() >= limits.block_seconds;
  }

  /// The points by number, so that neighbours are written in one call, the parts of each as they came; the
  /// block is then empty.
  std::vector<MeasuredPoint> take() {
    bytes_ = 0;
    finished_ = 0;
    std::ranges::stable_sort(points_, {}, &MeasuredPoint::point);
    return std::exchange(points_, {});
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::vector<MeasuredPoint> points_;
  std::size_t bytes_ = 0;
  int finished_ = 0;  ///< points whose last part is here
  Clock::time_point opened_;
};

}  // namespace gradflow::store
