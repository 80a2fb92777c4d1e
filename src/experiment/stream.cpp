#include "gradflow/experiment/stream.hpp"

#include <algorithm>
#include <vector>

#include "gradflow/core/errors.hpp"

namespace gradflow::experiment {
namespace {

using pipeline::StageCost;

std::int64_t divided_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

double compute_seconds(const StageCost& cost) {
  return cost.forward_seconds + cost.backward_seconds + cost.weight_seconds;
}

/// One microbatch through all stages and back.
double traversal_seconds(std::span<const StageCost> costs) {
  double seconds = 0;
  for (const StageCost& cost : costs) seconds += compute_seconds(cost) + 2 * cost.message_seconds;
  return seconds;
}

double busy_seconds(std::span<const StageCost> costs) {
  double seconds = 0;
  for (const StageCost& cost : costs) seconds += compute_seconds(cost);
  return seconds;
}

/// The slowest stage of every run of neighbours.
std::vector<StageCost> thinned(std::span<const StageCost> costs, std::size_t run) {
  std::vector<StageCost> kept;
  for (std::size_t first = 0; first < costs.size(); first += run) {
    const auto neighbours = costs.subspan(first, std::min(run, costs.size() - first));
    kept.push_back(*std::ranges::max_element(neighbours, {}, compute_seconds));
  }
  return kept;
}

/// Bundles of equally many microbatches under a schedule.
struct Stream {
  const pipeline::ScheduleRow& schedule;
  std::int64_t microbatches;
  std::int64_t bundles;

  bool drains() const { return schedule.flush == pipeline::Flush::per_bundle; }

  /// Bundles after which every further one takes the same time.
  std::int64_t filling(std::int64_t stages) const {
    return drains() ? 1 : divided_up(2 * stages, microbatches);
  }

  std::int64_t simulated_bundles(std::int64_t stages) const { return std::min(bundles, 2 * filling(stages)); }

  /// Forward and backward; a weight pass, which waits for nobody, goes with its backward pass.
  double actions(std::int64_t stages, std::int64_t of_bundles) const {
    return 2.0 * double(stages) * double(microbatches) * double(of_bundles);
  }

  double simulate(std::int64_t of_bundles, std::span<const StageCost> costs) const {
    const auto lists = pipeline::actions(schedule, {int(costs.size()), microbatches, of_bundles});
    return pipeline::simulate(lists, costs, pipeline::Events::drop).makespan_seconds;
  }

  /// Two fillings, continued in a straight line.
  double extrapolate(std::span<const StageCost> costs) const {
    const std::int64_t fill = filling(std::int64_t(costs.size()));
    if (bundles <= 2 * fill) return simulate(bundles, costs);
    const double once = simulate(fill, costs);
    const double twice = simulate(2 * fill, costs);
    return twice + double(bundles - 2 * fill) * (twice - once) / double(fill);
  }

  /// Neighbours of which one is simulated, so that the stretch keeps to `most_actions`.
  std::size_t thinning(std::int64_t stages, std::int64_t most_actions) const {
    std::int64_t run = 1;
    const auto fits = [&] {
      const std::int64_t left = divided_up(stages, run);
      return left == 1 || actions(left, simulated_bundles(left)) <= double(most_actions);
    };
    while (!fits()) ++run;
    return std::size_t(run);
  }

  double estimate(std::span<const StageCost> costs, std::int64_t most_actions) const {
    const std::vector<StageCost> kept = thinned(costs, thinning(std::int64_t(costs.size()), most_actions));
    const double left_out = traversal_seconds(costs) - traversal_seconds(kept);
    return extrapolate(kept) + left_out * (drains() ? double(bundles) : 1);
  }
};

}  // namespace

StreamTime stream_time(const pipeline::ScheduleRow& schedule, std::int64_t microbatches, std::int64_t bundles,
                       std::span<const StageCost> costs, std::int64_t most_actions) {
  expect(!costs.empty() && microbatches >= 1 && bundles >= 1, "a pipeline with work");
  const Stream stream{schedule, microbatches, bundles};
  const auto stages = std::int64_t(costs.size());
  StreamTime time;
  time.simulated = stream.actions(stages, bundles) <= double(most_actions);
  time.seconds = time.simulated ? stream.simulate(bundles, costs) : stream.estimate(costs, most_actions);
  const double busy = double(microbatches) * double(bundles) * busy_seconds(costs);
  if (time.seconds > 0) time.utilisation = std::min(1.0, busy / (double(stages) * time.seconds));
  return time;
}

}  // namespace gradflow::experiment
