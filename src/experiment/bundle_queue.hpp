#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "gradflow/experiment/network.hpp"
#include "gradflow/experiment/plan.hpp"
#include "gradflow/pipeline/executor.hpp"
#include "gradflow/pipeline/groups.hpp"

namespace gradflow::experiment {

/// A point that waits to be measured.
struct QueuedPoint {
  std::uint64_t index = 0;
  nn::NetworkSpec network;
};

/// Points that will be measured together.
struct PointBundle {
  nn::Bundle networks;
  std::vector<std::uint64_t> points;
  int most = 1;  ///< points it has room for
};

/// Stacks points: the deepest first, each into the first bundle that shares its weights and has room, else
/// into a new one. Depths are mixed only where those that are equal do not fill a bundle, and every layer's
/// weights are generated as rarely as bundles of this size allow. Bundles stand in the order of the sweep.
std::deque<PointBundle> stacked(std::vector<QueuedPoint> points, const Plan& plan, Precision precision);

/// Points of a share that are looked at together, so that bundles find their points.
inline constexpr int window_points = 1024;

/// The group's unfinished points of one precision, in bundles: points that share their weights are found a
/// window ahead, since a seed axis usually stands between them. Every rank of a group finds the same bundles.
class BundleQueue {
 public:
  BundleQueue(const sweep::Sweep& sweep, const Plan& plan, const pipeline::Share& share,
              const std::vector<bool>& unfinished, Precision precision)
      : sweep_(sweep), plan_(plan), share_(share), unfinished_(unfinished), precision_(precision) {}

  std::optional<PointBundle> next();

  /// Takes back a bundle, whose points come next, each alone.
  void return_one_by_one(PointBundle bundle);

 private:
  std::optional<sweep::SweepPoint> next_point();
  void fill_window();

  const sweep::Sweep& sweep_;
  const Plan& plan_;
  const pipeline::Share& share_;
  const std::vector<bool>& unfinished_;
  Precision precision_;
  std::int64_t block_ = 0;
  std::int64_t within_ = 0;
  std::deque<PointBundle> window_;
};

}  // namespace gradflow::experiment
