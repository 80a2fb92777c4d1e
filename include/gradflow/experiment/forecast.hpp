#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "gradflow/experiment/costs.hpp"
#include "gradflow/experiment/plan.hpp"
#include "gradflow/experiment/row.hpp"
#include "gradflow/pipeline/simulator.hpp"
#include "gradflow/pipeline/trace.hpp"

namespace gradflow::experiment {

/// The wire between two stages: a message of b bytes arrives latency + b / bandwidth after it was sent.
/// The defaults are those of a common cluster network.
struct Link {
  double latency_seconds = 2e-6;
  double bytes_per_second = 10e9;
};

/// What is to be expected of a plan.
struct Forecast {
  double seconds = 0;      ///< from the first pass of the sweep to the last, the program's start left out
  double utilisation = 1;  ///< computing time over all time of all ranks
  int stacked = 1;         ///< points in the largest bundle
  std::uint64_t bytes_per_rank = 0;  ///< of the largest point
  bool simulated = true;  ///< every bundle of the group; otherwise a stretch of the stream, continued
};

/// Names that occur in the points of a sweep, one entry per precision: what has to be measured.
std::vector<CostKinds> cost_kinds(const sweep::Sweep& sweep);

/// Predicts plans of one sweep from measured costs.
///
/// The group with the largest share sets the time. Of at most `sampled_windows` windows of its share, points
/// are stacked into bundles exactly as a run stacks them; each bundle is cut into stages and priced layer by
/// layer. Their mean goes through the simulator with the schedule's own actions and stands for the rest of
/// the share.
class Forecaster {
 public:
  /// @param costs  with series_of every entry of cost_kinds(sweep); outlives the object, like the sweep
  Forecaster(const sweep::Sweep& sweep, const Costs& costs, const Link& link);

  /// @param most_actions  of one simulation, see stream_time
  Forecast of(const Plan& plan, std::int64_t most_actions);

  /// The simulated timeline of the group with the largest share, in the events a run writes: the mean bundle
  /// again and again, as many as keep to `most_events`, but one at least. Weights are generated in the
  /// forward passes, and no event names its points. @pre most_events > 0
  std::vector<pipeline::TraceEvent> trace(const Plan& plan, std::int64_t most_events);

  static constexpr std::int64_t sampled_windows = 4;

 private:
  struct Point {
    nn::NetworkSpec network;
    Precision precision;
  };
  /// What a bundle costs each stage.
  struct Price {
    std::vector<pipeline::StageCost> stages;  ///< of one microbatch
    std::vector<double> weights;              ///< generated once per bundle, seconds per stage
  };
  struct Share;
  /// What the largest share is to a pipeline: its mean bundle, again and again.
  struct Stream {
    std::vector<pipeline::StageCost> costs = {};  ///< of one microbatch
    std::int64_t microbatches = 1;                ///< of a bundle
    double bundles = 1;
    double points = 1;
    int stacked = 1;          ///< points in the largest bundle
    bool is_sampled = false;  ///< not every point was looked at
  };

  const Point& point(std::uint64_t index);
  Share sampled_share(const Plan& plan);
  Stream stream_of(const Plan& plan);
  Price price(const nn::Bundle& bundle, Precision precision, const Plan& plan) const;

  const sweep::Sweep& sweep_;
  const Costs& costs_;
  Link link_;
  Row row_;
  std::string statistics_;                 ///< their label
  std::map<std::uint64_t, Point> points_;  ///< looked at so far
};

}  // namespace gradflow::experiment
