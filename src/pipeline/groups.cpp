#include "gradflow/pipeline/groups.hpp"

#include <algorithm>
#include <numeric>
#include <queue>
#include <string>
#include <utility>

#include "gradflow/core/errors.hpp"

namespace gradflow::pipeline {
namespace {

/// Blocks dealt in cycles of rounds: a round gives one block to each full group, the first rounds of a cycle
/// one to the smaller group too, so that over a cycle every group gets blocks in proportion to its stages.
struct Deal {
  explicit Deal(const Layout& layout)
      : full_groups(layout.full_groups()),
        rounds(layout.stages / std::gcd(layout.stages, layout.leftover())),
        rounds_of_leftover(layout.leftover() / std::gcd(layout.stages, layout.leftover())) {}

  bool is_full(int group) const { return group < full_groups; }
  std::int64_t cycle() const { return rounds * full_groups + rounds_of_leftover; }
  std::int64_t per_cycle(int group) const { return is_full(group) ? rounds : rounds_of_leftover; }

  /// Place in a cycle of a group's block of this round.
  std::int64_t place(int group, std::int64_t round) const {
    return round * full_groups + std::min(round, rounds_of_leftover) + group;
  }

  /// Number, among all blocks, of the i-th block of a group.
  std::int64_t number(int group, std::int64_t i) const {
    return i / per_cycle(group) * cycle() + place(group, i % per_cycle(group));
  }

  std::int64_t full_groups;
  std::int64_t rounds;
  std::int64_t rounds_of_leftover;
};

std::int64_t divided_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// How many of `blocks` blocks the deal gives to a group: numbers ascend, so halving finds the first beyond.
std::int64_t dealt_to(const Deal& deal, int group, std::int64_t blocks) {
  std::int64_t low = 0, high = blocks;
  while (low < high) {
    const std::int64_t middle = std::midpoint(low, high);
    if (deal.number(group, middle) < blocks) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

PointBlock block_at(std::int64_t number, std::int64_t block_points, std::int64_t points) {
  return {number * block_points, std::min((number + 1) * block_points, points)};
}

std::vector<double> costs_of(std::int64_t blocks, std::int64_t block_points, std::int64_t points,
                             const std::function<double(PointBlock)>& cost) {
  std::vector<double> costs;
  for (std::int64_t n = 0; n < blocks; ++n) costs.push_back(cost(block_at(n, block_points, points)));
  return costs;
}

/// The numbers of all blocks, dearest first; equal ones in order.
std::vector<std::int64_t> dearest_first(const std::vector<double>& costs) {
  std::vector<std::int64_t> order(costs.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return costs[std::size_t(a)] > costs[std::size_t(b)]; });
  return order;
}

/// When each group ends what it has been given. Full groups work equally fast, so the first of them to end is
/// the best of them; the smaller group is compared with that one.
class Ends {
 public:
  explicit Ends(const Layout& layout) : layout_(layout) {
    for (int group = 0; group < layout.full_groups(); ++group) full_.push({0.0, group});
  }

  /// Gives a block to the group that would end it first.
  int give(double cost) {
    const auto [end, group] = full_.top();
    const double end_there = end + cost / layout_.stages;
    if (layout_.leftover() > 0 && smaller_end_ + cost / layout_.leftover() < end_there) {
      smaller_end_ += cost / layout_.leftover();
      return layout_.full_groups();
    }
    full_.pop();
    full_.push({end_there, group});
    return group;
  }

 private:
  using End = std::pair<double, int>;

  const Layout& layout_;
  std::priority_queue<End, std::vector<End>, std::greater<>> full_;
  double smaller_end_ = 0;
};

std::vector<std::int64_t> given_to(const Layout& layout, int mine, const std::vector<double>& costs) {
  Ends ends(layout);
  std::vector<std::int64_t> numbers;
  for (const std::int64_t number : dearest_first(costs)) {
    if (ends.give(costs[std::size_t(number)]) == mine) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace

Layout Layout::of(int ranks, int stages) {
  expect(1 <= stages && stages <= ranks, "a pipeline fits into the job");
  return {ranks, stages};
}

int Layout::stages_of(int group) const {
  expect(0 <= group && group < groups(), "a group of the layout");
  return group < full_groups() ? stages : leftover();
}

int Layout::first_rank_of(int group) const {
  expect(0 <= group && group < groups(), "a group of the layout");
  return group * stages;
}

Place Layout::place_of(int rank) const {
  expect(0 <= rank && rank < ranks, "a rank of the job");
  return {rank / stages, rank % stages};
}

void require_layout(int ranks, int stages) {
  if (1 <= stages && stages <= ranks) return;
  throw UserError("--stages " + std::to_string(stages) + ": this job has " + std::to_string(ranks) +
                  (ranks == 1 ? " rank" : " ranks") +
                  " and every stage is one; write --stages auto, or a number from 1 to " +
                  std::to_string(ranks) + ", or start more ranks (mpirun -n " +
                  std::to_string(std::max(stages, 1)) + ")");
}

std::int64_t block_points(const Layout& layout, std::int64_t points) {
  return std::clamp<std::int64_t>(points / (8 * std::int64_t(layout.groups())), 1, most_block_points);
}

PointBlock Share::block(std::int64_t i) const {
  expect(0 <= i && i < blocks_, "a block of the share");
  return block_at(number_(i), block_points_, points_);
}

Share share_of(const Layout& layout, int group, std::int64_t points) {
  expect(0 <= group && group < layout.groups(), "a group of the layout");
  Share share;
  share.points_ = points;
  share.block_points_ = block_points(layout, points);
  const Deal deal(layout);
  share.blocks_ = dealt_to(deal, group, divided_up(points, share.block_points_));
  share.number_ = [deal, group](std::int64_t i) { return deal.number(group, i); };
  return share;
}

Share share_of(const Layout& layout, int group, std::int64_t points,
               const std::function<double(PointBlock)>& cost) {
  expect(0 <= group && group < layout.groups(), "a group of the layout");
  Share share;
  share.points_ = points;
  share.block_points_ = block_points(layout, points);
  const std::int64_t blocks = divided_up(points, share.block_points_);
  auto numbers = given_to(layout, group, costs_of(blocks, share.block_points_, points, cost));
  share.blocks_ = std::int64_t(numbers.size());
  share.number_ = [numbers = std::move(numbers)](std::int64_t i) { return numbers[std::size_t(i)]; };
  return share;
}

}  // namespace gradflow::pipeline
