#pragma once

#include <cstdint>
#include <vector>

#include "gradflow/pipeline/groups.hpp"
#include "gradflow/sweep/sweep.hpp"

namespace gradflow::experiment {

/// What points cost, relative to each other. Only some keys decide it (depth, widths, batch, precision), so a
/// network is looked at once for each combination of their values, not for each point.
class PointCosts {
 public:
  /// @param sweep  outlives this
  explicit PointCosts(const sweep::Sweep& sweep);

  /// Whether any two points may cost differently.
  bool differ() const noexcept { return !axes_.empty(); }

  double of(pipeline::PointBlock block);

 private:
  /// An axis that decides costs: point k has the value number (k / stride) mod size.
  struct DecidingAxis {
    std::uint64_t stride = 1;
    std::uint64_t size = 1;
  };

  double of(std::uint64_t point);

  const sweep::Sweep& sweep_;
  std::vector<DecidingAxis> axes_;
  std::vector<double> known_;  ///< by combination; negative: not yet
};

}  // namespace gradflow::experiment
