#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace gradflow::pipeline {

/// Consecutive blocks `first, first + 1, ..., end - 1`, counted from 0 in network order.
struct BlockRange {
  int first = 0;
  int end = 0;

  int size() const noexcept { return end - first; }
  bool contains(int block) const noexcept { return first <= block && block < end; }
  friend bool operator==(BlockRange, BlockRange) = default;
};

/// Contiguous ranges of blocks, one per stage, in network order.
///
/// Every block belongs to exactly one stage and no stage is empty.
class Partition {
 public:
  /// Ranges whose lengths differ by at most one.
  /// @pre 1 <= stages <= blocks
  static Partition uniform(int blocks, int stages);

  /// Ranges whose largest cost is as small as contiguous ranges allow; among those, cuts near the even share
  /// of the cost.
  ///
  /// Parametric search over the bottleneck: Pinar and Aykanat, J. Parallel Distrib. Comput. 64 (2004) 974.
  /// Costs add up as differences of their running sum in double; the answer is exact for integers below 2^53.
  /// @param cost  one per block, finite and not negative; only their ratios matter
  /// @pre 1 <= stages <= cost.size()
  static Partition balanced(std::span<const double> cost, int stages);

  int blocks() const noexcept { return starts_.back(); }
  int stages() const noexcept { return int(starts_.size()) - 1; }

  BlockRange blocks_of(int stage) const;
  int stage_of(int block) const;

  friend bool operator==(const Partition&, const Partition&) = default;

 private:
  explicit Partition(std::vector<int> starts);

  std::vector<int> starts_;  ///< first block of each stage, then the number of blocks
};

/// Refuses a number of stages that some network cannot fill.
/// @param network  for the message, which network it is: "point 17 (depth = 5)"
/// @throws UserError unless 1 <= stages <= blocks
void require_stages(int stages, int blocks, std::string_view network);

}  // namespace gradflow::pipeline
