#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "gradflow/experiment/memory.hpp"
#include "gradflow/nn/block.hpp"
#include "gradflow/nn/directions.hpp"
#include "sample.hpp"

namespace gradflow::experiment {
namespace {

constexpr double bytes_per_m = 1 << 20;  ///< the M of --memory

/// Bytes beyond the budget: what a decision is worth if none fits.
double missing_bytes(const MemoryUse& use, const Plan& plan) { return use.total() - plan.memory.limit; }

/// A sweep's axis that changes how much memory a point takes.
bool changes_size(const sweep::Axis& axis) {
  constexpr std::array keys{"network.block", "network.depth",  "network.stack",
                            "network.width", "network.widths", "network.input",
                            "data.batch",    "run.precision",  "jacobian.directions"};
  return std::ranges::any_of(axis.columns, [&](const sweep::Column& column) {
    return std::ranges::find(keys, column.key) != keys.end();
  });
}

/// A measure of memory that grows with every width, the depth, the batch and the precision.
double size_of(const sweep::SweepPoint& point) {
  const nn::NetworkSpec network = network_of(point);
  const double gates = nn::gates_of(network);
  const double directions = network.jacobian ? nn::first_directions(network) : 0;
  double size = 2 * directions * directions;
  for (int layer = 1; layer <= network.depth(); ++layer) {
    const double in = network.widths.fan_in(layer);
    const double out = gates * network.widths.fan_out(layer);
    size += in * out + padded_rows(network.batch) * (in + out);
  }
  return size * (precision_of(point) == Precision::float64 ? 2 : 1);
}

/// Axis by axis the value that takes most, or least: sizes grow along every axis, whatever stands on the
/// others. @param sign  1 for the largest point, -1 for the smallest
std::uint64_t extreme_point(const sweep::Sweep& sweep, double sign) {
  constexpr std::uint64_t most_values = 200;
  std::uint64_t best = 0;
  std::uint64_t stride = sweep.size();
  for (const sweep::Axis& axis : sweep.axes()) {
    stride /= axis.size();
    if (!changes_size(axis)) continue;
    std::vector<std::uint64_t> values = sample(axis.size(), most_values);
    values.push_back(axis.size() - 1);
    const auto value = std::ranges::max_element(
        values, {}, [&](std::uint64_t v) { return sign * size_of(sweep.point(best + v * stride)); });
    best += *value * stride;
  }
  return best;
}

/// Points of the queue's window that share their weights with this one, which is the deepest: itself, then
/// as many as fit.
nn::Bundle sharing_points(const sweep::Sweep& sweep, std::uint64_t index, std::size_t most) {
  constexpr std::uint64_t window = 1024;
  nn::Bundle bundle{network_of(sweep.point(index))};
  const std::uint64_t first = index / window * window;
  std::size_t equally_deep = 1;
  for (std::uint64_t k = first; k < std::min(first + window, sweep.size()) && equally_deep < most; ++k) {
    nn::NetworkSpec other = network_of(sweep.point(k));
    if (k == index || !may_share_bundle(bundle.front(), other)) continue;
    if (other.depth() == bundle.front().depth()) ++equally_deep;
    bundle.push_back(std::move(other));
  }
  std::ranges::stable_sort(bundle, std::ranges::greater{}, &nn::NetworkSpec::depth);
  bundle.resize(std::min(bundle.size(), most));
  return bundle;
}

}  // namespace

LargestUse largest_use(const sweep::Sweep& sweep, const Plan& plan) {
  const std::uint64_t index = extreme_point(sweep, 1);
  const sweep::SweepPoint point = sweep.point(index);
  const Precision precision = precision_of(point);
  const auto wanted = std::uint64_t(bundled_points(plan, network_of(point), precision));
  const nn::Bundle bundle =
      sharing_points(sweep, index, std::size_t(std::min(wanted, plan.points_per_group)));
  // A short pipeline has more layers on a stage, a long one more bundles in flight.
  const MemoryUse shortest = memory_of(bundle, precision, plan, plan.layout.shortest(), 0);
  if (plan.layout.leftover() == 0) return {index, int(bundle.size()), shortest};
  const MemoryUse longest = memory_of(bundle, precision, plan, plan.layout.stages, 0);
  return {index, int(bundle.size()), longest.total() > shortest.total() ? longest : shortest};
}

bool is_too_large(const nn::Bundle& bundle, Precision precision, const Plan& plan, int stages) {
  return missing_bytes(memory_of(bundle, precision, plan, stages, 0), plan) > 0;
}

std::optional<LargestUse> too_large_points(const sweep::Sweep& sweep, const Plan& plan) {
  const LargestUse largest = largest_use(sweep, plan);
  if (missing_bytes(largest.use, plan) <= 0) return {};
  const sweep::SweepPoint smallest = sweep.point(extreme_point(sweep, -1));
  const nn::NetworkSpec network = network_of(sweep.point(largest.point));
  for (const int stages : {plan.layout.shortest(), plan.layout.stages}) {
    if (!is_too_large({network_of(smallest)}, precision_of(smallest), plan, stages)) return largest;
  }
  throw UserError(fmt::format(
      "--memory: {:.0f}M for each rank, but point {} (depth {}, batch {}) needs {:.0f}M even if it keeps as "
      "little as possible: {:.0f}M for the program, {:.0f}M for the rows of its layers, {:.0f}M for the "
      "layers at work; allow {:.0f}M, use fewer ranks on this host, more --stages, or store fewer layers "
      "(statistics.layers)",
      std::floor(plan.memory.limit / bytes_per_m), largest.point, network.depth(), network.batch,
      std::ceil(largest.use.total() / bytes_per_m), largest.use.process / bytes_per_m,
      largest.use.statistics / bytes_per_m,
      (largest.use.total() - largest.use.process - largest.use.statistics) / bytes_per_m,
      std::ceil(largest.use.total() / bytes_per_m)));
}

std::vector<std::string> notes_on_memory(const sweep::Sweep& sweep, const Plan& plan) {
  const std::optional<LargestUse> largest = too_large_points(sweep, plan);
  if (!largest) return {};
  return {fmt::format(
      "some points need more memory than the {:.0f}M a rank may use and will fail (status 2): point {} "
      "needs {:.0f}M even if it keeps as little as possible; --memory, then --retry-failed",
      std::floor(plan.memory.limit / bytes_per_m), largest->point,
      std::ceil(largest->use.total() / bytes_per_m))};
}

}  // namespace gradflow::experiment
