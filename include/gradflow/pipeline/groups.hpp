#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace gradflow::pipeline {

/// Where a rank works.
struct Place {
  int group = 0;
  int stage = 0;

  friend bool operator==(Place, Place) = default;
};

/// The ranks of a job cut into groups of consecutive ranks. A group is one pipeline: it measures whole
/// points, each rank one stage of them. Ranks that fill no pipeline of `stages` form one smaller group, the
/// last one.
struct Layout {
  /// @pre 1 <= stages <= ranks
  static Layout of(int ranks, int stages);

  int ranks = 1;
  int stages = 1;  ///< of every group but the smaller one

  int full_groups() const noexcept { return ranks / stages; }
  int leftover() const noexcept { return ranks % stages; }  ///< stages of the smaller group; 0: there is none
  /// Stages of the shortest pipeline: that of the leftover ranks, if there are any.
  int shortest() const noexcept { return leftover() > 0 ? leftover() : stages; }
  int groups() const noexcept { return full_groups() + (leftover() > 0 ? 1 : 0); }

  int stages_of(int group) const;
  int first_rank_of(int group) const;
  Place place_of(int rank) const;
};

/// Refuses a pipeline that is longer than the job has ranks.
/// @throws UserError unless 1 <= stages <= ranks
void require_layout(int ranks, int stages);

/// Consecutive points `first, first + 1, ..., end - 1`, measured by one group and written by it together.
struct PointBlock {
  std::int64_t first = 0;
  std::int64_t end = 0;

  std::int64_t size() const noexcept { return end - first; }
  friend bool operator==(PointBlock, PointBlock) = default;
};

/// The most points of one block: as many rows of the result file are written and made durable at once.
inline constexpr std::int64_t most_block_points = 64;

/// Points per block when `points` are shared: most_block_points, or fewer if some group would get less than 8
/// blocks.
std::int64_t block_points(const Layout& layout, std::int64_t points);

/// The points of one group, in ascending order, as blocks that are computed when asked for.
///
/// Shares of all groups cover every point once. They depend on the layout and the costs only, so every rank
/// finds the same without a message. Statistics do not depend on them: which group measures a point decides
/// when it is measured and by how many stages, never what is measured.
class Share {
 public:
  std::int64_t blocks() const noexcept { return blocks_; }

  /// @pre 0 <= i < blocks()
  PointBlock block(std::int64_t i) const;

 private:
  friend Share share_of(const Layout&, int, std::int64_t);
  friend Share share_of(const Layout&, int, std::int64_t, const std::function<double(PointBlock)>&);

  std::int64_t points_ = 0;
  std::int64_t block_points_ = 1;
  std::int64_t blocks_ = 0;
  std::function<std::int64_t(std::int64_t)> number_;  ///< of my i-th block among all blocks
};

/// Points of equal cost: blocks are dealt in turn, as many to a group as it has stages. O(1) for any number
/// of points.
Share share_of(const Layout& layout, int group, std::int64_t points);

/// Points of unequal cost: the dearest block first, to the group that would end it first (Graham's longest
/// processing time rule, at most 4/3 of the best for groups of one size). O(blocks) memory, O(blocks log
/// blocks) time.
/// @param cost  predicted, of a block, in any unit
Share share_of(const Layout& layout, int group, std::int64_t points,
               const std::function<double(PointBlock)>& cost);

}  // namespace gradflow::pipeline
