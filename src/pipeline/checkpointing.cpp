#include "gradflow/pipeline/checkpointing.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace gradflow::pipeline {
namespace {

/// Beyond it the pieces of any network that fits an int are a few blocks long.
constexpr int most_levels = 8;

double pieces(double blocks, int span) { return std::ceil(blocks / span); }

double block_bytes(const StageDemand& demand, bool keep_weights) {
  return demand.largest_tape_bytes + (keep_weights ? 0 : demand.largest_weight_bytes);
}

/// Pieces of the last level whose tapes weigh about as much as the kept signals of one level: the minimum of
/// levels * (n/s)^(1/levels) * state + s * block over s.
int last_span(const StageDemand& demand, int levels, bool keep_weights) {
  const double signals = std::pow(demand.blocks, 1.0 / levels) * demand.state_bytes;
  const double span = std::pow(signals / block_bytes(demand, keep_weights), levels / (levels + 1.0));
  return std::clamp(int(std::lround(span)), 1, demand.blocks);
}

/// The last span and equal ratios above it.
std::vector<int> spans_of(const StageDemand& demand, int levels, bool keep_weights) {
  std::vector<int> spans(std::size_t(levels), 0);
  if (levels == 0) return spans;
  const int last = last_span(demand, levels, keep_weights);
  const double ratio = std::pow(double(demand.blocks) / last, 1.0 / levels);
  for (int level = 0; level < levels; ++level) {
    spans[std::size_t(level)] = int(std::lround(last * std::pow(ratio, levels - 1 - level)));
  }
  return spans;
}

std::vector<Checkpointing> candidates(const StageDemand& demand) {
  std::vector<Checkpointing> all;
  for (int levels = 0; levels <= most_levels; ++levels) {
    for (const bool keep : {true, false}) all.push_back({spans_of(demand, levels, keep), keep});
  }
  return all;
}

}  // namespace

double bytes_of(const Checkpointing& checkpointing, const StageDemand& demand) {
  const bool keeps_weights = checkpointing.keep_weights;
  const double weights = keeps_weights ? demand.weight_bytes : 0;
  if (checkpointing.keeps_tapes()) {
    return demand.in_flight * demand.tape_bytes + (keeps_weights ? weights : demand.largest_weight_bytes);
  }
  double signals = demand.in_flight * pieces(demand.blocks, checkpointing.spans.front());
  for (std::size_t level = 1; level < checkpointing.spans.size(); ++level) {
    signals += pieces(checkpointing.spans[level - 1], checkpointing.spans[level]);
  }
  return weights + signals * demand.state_bytes +
         checkpointing.spans.back() * block_bytes(demand, keeps_weights);
}

double extra_operations(const Checkpointing& checkpointing, const StageDemand& demand) {
  const double again = double(checkpointing.spans.size());
  const double generated_again = checkpointing.keep_weights ? 0 : std::max(again, 1.0);
  return again * demand.forward_operations + generated_again * demand.generation_operations;
}

std::optional<Checkpointing> cheapest(const StageDemand& demand, double bytes) {
  std::optional<Checkpointing> best;
  const auto cost = [&](const Checkpointing& c) {
    return std::tuple(extra_operations(c, demand), bytes_of(c, demand));
  };
  for (Checkpointing& candidate : candidates(demand)) {
    if (bytes_of(candidate, demand) > bytes) continue;
    if (!best || cost(candidate) < cost(*best)) best = std::move(candidate);
  }
  return best;
}

Checkpointing smallest(const StageDemand& demand) {
  std::vector<Checkpointing> all = candidates(demand);
  return *std::ranges::min_element(all, {}, [&](const Checkpointing& c) { return bytes_of(c, demand); });
}

}  // namespace gradflow::pipeline
