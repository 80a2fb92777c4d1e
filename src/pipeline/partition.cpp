#include "gradflow/pipeline/partition.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>

#include "gradflow/core/errors.hpp"

namespace gradflow::pipeline {
namespace {

/// The cost of blocks [first, end) as a difference of running sums: it grows with `end` and shrinks with
/// `first` even after rounding, which is all that the search needs.
class RunningCost {
 public:
  explicit RunningCost(std::span<const double> cost) : sums_(cost.size() + 1, 0.0) {
    std::partial_sum(cost.begin(), cost.end(), sums_.begin() + 1);
  }

  int blocks() const { return int(sums_.size()) - 1; }
  double total() const { return sums_.back(); }
  double of(int first, int end) const { return sums_[std::size_t(end)] - sums_[std::size_t(first)]; }

  /// The largest end with of(first, end) <= bottleneck.
  int farthest_end(int first, double bottleneck) const {
    const auto fits = [&](double sum) { return sum - sums_[std::size_t(first)] <= bottleneck; };
    return int(std::partition_point(sums_.begin() + first, sums_.end(), fits) - sums_.begin()) - 1;
  }
  /// The smallest first with of(first, end) <= bottleneck.
  int farthest_first(int end, double bottleneck) const {
    const auto too_much = [&](double sum) { return sums_[std::size_t(end)] - sum > bottleneck; };
    return int(std::partition_point(sums_.begin(), sums_.begin() + end, too_much) - sums_.begin());
  }
  /// The cut after which at least `share` of the cost is behind.
  int cut_at(double share) const {
    return int(std::lower_bound(sums_.begin(), sums_.end(), share * total()) - sums_.begin());
  }

 private:
  std::vector<double> sums_;
};

bool fits(const RunningCost& cost, int stages, double bottleneck) {
  int end = 0;
  for (int stage = 0; stage < stages && end < cost.blocks(); ++stage)
    end = cost.farthest_end(end, bottleneck);
  return end == cost.blocks();
}

// Doubles that are not negative are ordered as their bits are: halving the interval of bits ends at two
// neighbours.
double smallest_bottleneck(const RunningCost& cost, double largest_block, int stages) {
  auto low = std::bit_cast<std::uint64_t>(largest_block);
  auto high = std::bit_cast<std::uint64_t>(cost.total());
  while (low < high) {
    const std::uint64_t middle = std::midpoint(low, high);
    if (fits(cost, stages, std::bit_cast<double>(middle))) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return std::bit_cast<double>(high);
}

/// For each stage the earliest place to begin such that it and its successors keep to the bottleneck.
std::vector<int> earliest_starts(const RunningCost& cost, double bottleneck, int stages) {
  std::vector<int> starts(std::size_t(stages) + 1, cost.blocks());
  for (int stage = stages - 1; stage >= 0; --stage) {
    const int first = cost.farthest_first(starts[std::size_t(stage) + 1], bottleneck);
    starts[std::size_t(stage)] = std::max(first, stage);  // one block for each stage before
  }
  return starts;
}

}  // namespace

Partition::Partition(std::vector<int> starts) : starts_(std::move(starts)) {}

Partition Partition::uniform(int blocks, int stages) {
  expect(1 <= stages && stages <= blocks, "every stage has a block");
  std::vector<int> starts;
  for (std::int64_t stage = 0; stage <= stages; ++stage) starts.push_back(int(stage * blocks / stages));
  return Partition(std::move(starts));
}

Partition Partition::balanced(std::span<const double> block_cost, int stages) {
  const auto is_cost = [](double c) { return std::isfinite(c) && c >= 0; };
  expect(1 <= stages && std::size_t(stages) <= block_cost.size(), "every stage has a block");
  expect(std::all_of(block_cost.begin(), block_cost.end(), is_cost), "costs are finite and not negative");

  const RunningCost cost(block_cost);
  double largest_block = 0;  // as a difference of running sums, like every cost here
  for (int block = 0; block < cost.blocks(); ++block) {
    largest_block = std::max(largest_block, cost.of(block, block + 1));
  }
  const double bottleneck = smallest_bottleneck(cost, largest_block, stages);

  std::vector<int> starts = earliest_starts(cost, bottleneck, stages);
  starts[0] = 0;
  for (int stage = 1; stage < stages; ++stage) {
    const int before = starts[std::size_t(stage) - 1];
    const int least = std::max(starts[std::size_t(stage)], before + 1);
    const int most = std::min(cost.farthest_end(before, bottleneck), cost.blocks() - (stages - stage));
    starts[std::size_t(stage)] = std::clamp(cost.cut_at(double(stage) / stages), least, most);
  }
  return Partition(std::move(starts));
}

BlockRange Partition::blocks_of(int stage) const {
  expect(0 <= stage && stage < stages(), "a stage of the partition");
  return {starts_[std::size_t(stage)], starts_[std::size_t(stage) + 1]};
}

int Partition::stage_of(int block) const {
  expect(0 <= block && block < blocks(), "a block of the partition");
  return int(std::upper_bound(starts_.begin(), starts_.end(), block) - starts_.begin()) - 1;
}

void require_stages(int stages, int blocks, std::string_view network) {
  if (1 <= stages && stages <= blocks) return;
  throw UserError("--stages " + std::to_string(stages) + ": " + std::string(network) + " has " +
                  std::to_string(blocks) + (blocks == 1 ? " layer" : " layers") +
                  " and every stage needs at least one; write --stages auto, or a number from 1 to " +
                  std::to_string(blocks));
}

}  // namespace gradflow::pipeline
