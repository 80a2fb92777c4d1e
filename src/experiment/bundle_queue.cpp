#include "bundle_queue.hpp"

#include <algorithm>
#include <utility>

#include "gradflow/experiment/memory.hpp"

namespace gradflow::experiment {

namespace {

/// Two points of one plan for which bundled_points() gives the same answer.
bool equal_in_size(const nn::NetworkSpec& a, const nn::NetworkSpec& b) {
  return a.batch == b.batch && a.init.scheme == b.init.scheme && a.init.sigma_b == b.init.sigma_b &&
         a.widths == b.widths;
}

/// Asked of every point, so deep networks must not be gone through layer by layer each time.
int room_for(const nn::NetworkSpec& network, const std::deque<PointBundle>& bundles, const Plan& plan,
             Precision precision) {
  const auto alike = std::ranges::find_if(
      bundles, [&](const PointBundle& bundle) { return equal_in_size(bundle.networks.front(), network); });
  return alike != bundles.end() ? alike->most : bundled_points(plan, network, precision);
}

}  // namespace

void stack(std::deque<PointBundle>& bundles, const Plan& plan, std::uint64_t point, nn::NetworkSpec network,
           Precision precision) {
  const int most = room_for(network, bundles, plan, precision);
  const auto has_room = [&](const PointBundle& bundle) {
    return int(bundle.points.size()) < most && may_share_bundle(bundle.networks.front(), network);
  };
  auto bundle = std::ranges::find_if(bundles, has_room);
  if (bundle == bundles.end()) bundle = bundles.insert(bundles.end(), PointBundle{{}, {}, most});
  bundle->networks.push_back(std::move(network));
  bundle->points.push_back(point);
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
  for (int i = 0; i < window_points; ++i) {
    const std::optional<sweep::SweepPoint> point = next_point();
    if (!point) return;
    stack(window_, plan_, point->index(), network_of(*point), precision_);
  }
}

std::optional<PointBundle> BundleQueue::next() {
  if (window_.empty()) fill_window();
  if (window_.empty()) return {};
  PointBundle bundle = std::move(window_.front());
  window_.pop_front();
  return bundle;
}

}  // namespace gradflow::experiment
