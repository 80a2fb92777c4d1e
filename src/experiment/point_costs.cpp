#include "point_costs.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "gradflow/experiment/network.hpp"
#include "gradflow/experiment/plan.hpp"

namespace gradflow::experiment {
namespace {

constexpr double not_known = -1;

bool decides(const sweep::Axis& axis) {
  constexpr std::array<std::string_view, 7> keys{"network.block", "network.depth",  "network.stack",
                                                 "network.width", "network.widths", "data.batch",
                                                 "run.precision"};
  return std::ranges::any_of(axis.columns, [&](const sweep::Column& column) {
    return std::ranges::find(keys, column.key) != keys.end();
  });
}

double cost_of(const sweep::SweepPoint& point) {
  const double factor = precision_of(point) == Precision::float64 ? 2 : 1;
  double cost = 0;
  for (const double layer : layer_costs({network_of(point)})) cost += factor * layer;
  return cost;
}

}  // namespace

PointCosts::PointCosts(const sweep::Sweep& sweep) : sweep_(sweep) {
  std::uint64_t stride = sweep.size();  // the last axis is the fastest
  std::uint64_t combinations = 1;
  for (const sweep::Axis& axis : sweep.axes()) {
    stride /= axis.size();
    if (!decides(axis)) continue;
    axes_.push_back({stride, axis.size()});
    combinations *= axis.size();
  }
  if (differ()) known_.assign(combinations, not_known);
}

double PointCosts::of(std::uint64_t point) {
  std::uint64_t combination = 0;
  for (const DecidingAxis& axis : axes_) {
    combination = combination * axis.size + point / axis.stride % axis.size;
  }
  double& cost = known_[combination];
  if (cost == not_known) cost = cost_of(sweep_.point(point));
  return cost;
}

double PointCosts::of(pipeline::PointBlock block) {
  double cost = 0;
  for (std::int64_t k = block.first; k < block.end; ++k) cost += of(std::uint64_t(k));
  return cost;
}

}  // namespace gradflow::experiment
