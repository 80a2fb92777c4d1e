#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "gradflow/nn/network.hpp"
#include "gradflow/pipeline/groups.hpp"
#include "gradflow/pipeline/partition.hpp"
#include "gradflow/pipeline/schedule.hpp"
#include "gradflow/stats/catalogue.hpp"
#include "gradflow/stats/layer_selection.hpp"
#include "gradflow/sweep/sweep.hpp"

namespace gradflow::experiment {

/// What one rank may use, in bytes. Equal on all ranks of a run: bundles are cut by it.
struct MemoryBudget {
  static constexpr double unlimited = std::numeric_limits<double>::infinity();

  double limit = unlimited;
  double ample = unlimited;  ///< beyond it time is spent rather than memory, where that helps
  double process = 0;        ///< of it, what the program and its libraries take before any point
};

/// What the user asked for; nothing means auto.
struct Request {
  std::optional<int> stages;
  std::optional<int> microbatches;
  std::optional<int> threads;
  std::optional<int> bundle;
  std::string schedule = "streamed_1f1b";
  MemoryBudget memory;
};

/// How a sweep is run: no statistic depends on any of it.
struct Plan {
  pipeline::Layout layout;
  int threads = 1;       ///< of this rank
  int most_threads = 1;  ///< of any rank: memory is counted alike on all of them, as bundles are cut by it
  int microbatches = 1;  ///< wanted; a point is cut into at most ceil(batch / 32)
  int most_bundled = 1;  ///< points that are stacked at the most, see bundled_points() in memory.hpp
  const pipeline::ScheduleRow* schedule = nullptr;
  MemoryBudget memory;
  std::uint64_t points_per_group = 1;
  stats::LayerSelection layers = stats::LayerSelection::parse("all");  ///< those that are stored
  double row_bytes = 0;                                                ///< of one stored layer of one point
  stats::Needs needs;                                                  ///< of the stored statistics
  std::vector<std::string> notes;  ///< what was decided otherwise than asked for
};

/// The most points that are stacked.
inline constexpr int most_stacked = 64;

/// The layout a request names; one stage if it leaves that open: see decision.hpp for the choice by
/// forecasts. Microbatches and bundles left open follow from it: enough to keep a pipeline full.
/// @param threads_here  threads a rank can really use
/// @throws UserError for more stages than ranks or layers, an unknown schedule
Plan make_plan(const sweep::Sweep& sweep, const Request& request, int ranks, int threads_here);

/// Stored layers of a point that go to the file together: the table of a deeper one is written in parts.
int part_rows(const Plan& plan);

/// Microbatches of one bundle under a plan.
int microbatches_of(const Plan& plan, const nn::Bundle& bundle);

/// Cost of layer l = 1..depth of a bundle, in units of one float32 operation of a large product.
std::vector<double> layer_costs(const nn::Bundle& bundle);

/// Contiguous blocks of about equal cost, one range per stage.
pipeline::Partition cut(const nn::Bundle& bundle, int stages);

}  // namespace gradflow::experiment
