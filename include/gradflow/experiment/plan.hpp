#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gradflow/experiment/row.hpp"
#include "gradflow/nn/network.hpp"
#include "gradflow/pipeline/groups.hpp"
#include "gradflow/pipeline/partition.hpp"
#include "gradflow/pipeline/schedule.hpp"
#include "gradflow/sweep/sweep.hpp"

namespace gradflow::experiment {

/// What the user asked for; nothing means auto.
struct Request {
  std::optional<int> stages;
  std::optional<int> microbatches;
  std::optional<int> threads;
  std::optional<int> bundle;
  std::string schedule = "streamed_1f1b";
};

/// How a sweep is run: no statistic depends on any of it.
struct Plan {
  pipeline::Layout layout;
  int threads = 1;       ///< of each rank
  int microbatches = 1;  ///< wanted; a point is cut into at most ceil(batch / 32)
  int most_bundled = 1;  ///< points that are stacked at the most, see bundled_points()
  const pipeline::ScheduleRow* schedule = nullptr;
  std::vector<std::string> notes;  ///< what was decided otherwise than asked for
};

/// The most points that are stacked.
inline constexpr int most_stacked = 64;

/// The layout a request names; one stage if it leaves that open: see decision.hpp for the choice by
/// forecasts. Microbatches and bundles left open follow from it: enough to keep a pipeline full.
/// @param threads_here  threads a rank can really use
/// @throws UserError for more stages than ranks or layers, an unknown schedule
Plan make_plan(const sweep::Sweep& sweep, const Request& request, int ranks, int threads_here);

/// Points like this one that are stacked: as many as make products efficient, as long as the pipeline stays
/// full and their signals stay within a gibibyte.
int bundled_points(const Plan& plan, const nn::NetworkSpec& network);

/// Microbatches of one bundle under a plan.
int microbatches_of(const Plan& plan, const nn::Bundle& bundle);

/// Cost of layer l = 1..depth of a bundle, in units of one float32 operation of a large product.
std::vector<double> layer_costs(const nn::Bundle& bundle);

/// Contiguous blocks of about equal cost, one range per stage.
pipeline::Partition cut(const nn::Bundle& bundle, int stages);

/// Largest resident bytes of one rank while it works on points like this one: weights, tapes, gradients,
/// statistics.
std::uint64_t predicted_bytes(const nn::NetworkSpec& network, const Plan& plan, std::size_t bytes_of_real,
                              const std::vector<int>& observed_layers);

}  // namespace gradflow::experiment
