#include "bundle_queue.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "gradflow/experiment/memory.hpp"

namespace gradflow::experiment {

namespace {

/// Two points of one plan for which bundled_points() gives the same answer.
bool equal_in_size(const nn::NetworkSpec& a, const nn::NetworkSpec& b) {
  return a.block == b.block && a.batch == b.batch && a.init.scheme == b.init.scheme &&
         a.init.sigma_b == b.init.sigma_b && a.widths == b.widths && a.jacobian == b.jacobian;
}

/// What bundled_points() said of a network.
struct Room {
  nn::NetworkSpec network;
  int points;
};

/// Asked of every point, so deep networks must not be gone through layer by layer each time.
int room_for(const nn::NetworkSpec& network, std::vector<Room>& known, const Plan& plan,
             Precision precision) {
  const auto alike =
      std::ranges::find_if(known, [&](const Room& room) { return equal_in_size(room.network, network); });
  if (alike != known.end()) return alike->points;
  known.push_back({network, bundled_points(plan, network, precision)});
  return known.back().points;
}

/// @param most  points that may share a bundle with this one, itself included
void stack(std::deque<PointBundle>& bundles, QueuedPoint point, int most) {
  const auto has_room = [&](const PointBundle& bundle) {
    return int(bundle.points.size()) < std::min(most, bundle.most) &&
           may_share_bundle(bundle.networks.front(), point.network);
  };
  auto bundle = std::ranges::find_if(bundles, has_room);
  if (bundle == bundles.end()) bundle = bundles.insert(bundles.end(), PointBundle{{}, {}, most});
  bundle->most = std::min(bundle->most, most);
  bundle->networks.push_back(std::move(point.network));
  bundle->points.push_back(point.index);
}

}  // namespace

std::deque<PointBundle> stacked(std::vector<QueuedPoint> points, const Plan& plan, Precision precision) {
  std::ranges::stable_sort(points, std::ranges::greater{},
                           [](const QueuedPoint& point) { return point.network.depth(); });
  std::deque<PointBundle> bundles;
  std::vector<Room> rooms;
  for (QueuedPoint& point : points) {
    const int most = room_for(point.network, rooms, plan, precision);
    stack(bundles, std::move(point), most);
  }
  // The order of the sweep: what is quick and stands first is also finished first.
  std::ranges::stable_sort(bundles, {}, [](const PointBundle& b) { return std::ranges::min(b.points); });
  return bundles;
}

std::optional<sweep::SweepPoint> BundleQueue::next_point() {
  for (; block_ < share_.blocks(); ++block_, within_ = 0) {
    const pipeline::PointBlock block = share_.block(block_);
    while (within_ < block.size()) {
      const auto k = std::uint64_t(block.first + within_++);
      if (unfinished_[k] && precision_of(sweep_.point(k)) == precision_) return sweep_.point(k);
    }
  }
  return {};
}

void BundleQueue::fill_window() {
  std::vector<QueuedPoint> points;
  while (points.size() < window_points) {
    const std::optional<sweep::SweepPoint> point = next_point();
    if (!point) break;
    points.push_back({point->index(), network_of(*point)});
  }
  window_ = stacked(std::move(points), plan_, precision_);
}

std::optional<PointBundle> BundleQueue::next() {
  if (window_.empty()) fill_window();
  if (window_.empty()) return {};
  PointBundle bundle = std::move(window_.front());
  window_.pop_front();
  return bundle;
}

void BundleQueue::return_one_by_one(PointBundle bundle) {
  for (std::size_t i = bundle.points.size(); i-- > 0;) {
    window_.push_front({{std::move(bundle.networks[i])}, {bundle.points[i]}, 1});
  }
}

}  // namespace gradflow::experiment
