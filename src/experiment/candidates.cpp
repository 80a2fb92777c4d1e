#include "gradflow/experiment/candidates.hpp"

#include <algorithm>
#include <limits>

#include "gradflow/core/errors.hpp"
#include "gradflow/experiment/network.hpp"

namespace gradflow::experiment {
namespace {

/// Actions of one simulation while candidates are compared: 10 ms each.
constexpr std::int64_t most_actions = 1 << 17;

std::vector<int> ascending(std::vector<int> values, int most) {
  for (int& value : values) value = std::clamp(value, 1, most);
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

std::vector<int> stage_counts(const sweep::Sweep& sweep, int ranks) {
  const int most = std::min(ranks, network_of(shallowest_point(sweep)).depth());
  std::vector<int> counts{ranks};
  for (int stages = 1; stages <= most; stages = stages > most / 2 ? most + 1 : 2 * stages) {
    counts.push_back(stages);
  }
  if (sweep.size() < std::uint64_t(ranks)) counts.push_back(ranks / int(sweep.size()));
  return ascending(counts, most);
}

std::vector<int> microbatch_counts(const sweep::Sweep& sweep, int stages) {
  if (stages == 1) return {1};
  const int most = padded_rows(network_of(sweep.point(0)).batch) / tile_rows;
  std::vector<int> counts{1};
  for (const int per_stage : {1, 2, 4}) counts.push_back(std::min(stages, most) * per_stage);
  return ascending(counts, most);
}

/// Nothing: as make_plan has it.
std::vector<std::optional<int>> bundle_sizes(int stages) {
  if (stages == 1) return {std::nullopt};
  return {most_stacked, std::nullopt};
}

}  // namespace

std::vector<Request> requests_worth_a_forecast(const sweep::Sweep& sweep, const Request& request, int ranks) {
  std::vector<Request> requests;
  const auto one = [](const std::optional<int>& given, std::vector<int> open) {
    return given ? std::vector<int>{*given} : open;
  };
  for (const int stages : one(request.stages, stage_counts(sweep, ranks))) {
    for (const int microbatches : one(request.microbatches, microbatch_counts(sweep, stages))) {
      const auto sizes =
          request.bundle ? std::vector<std::optional<int>>{request.bundle} : bundle_sizes(stages);
      for (const std::optional<int>& bundle : sizes) {
        Request closed = request;
        closed.stages = stages;
        closed.microbatches = microbatches;
        closed.bundle = bundle;
        requests.push_back(closed);
      }
    }
  }
  return requests;
}

std::vector<Candidate> candidates(const sweep::Sweep& sweep, const Request& request, int ranks,
                                  int threads_here, Forecaster& forecaster) {
  std::vector<Candidate> found;
  for (const Request& closed : requests_worth_a_forecast(sweep, request, ranks)) {
    Plan plan = make_plan(sweep, closed, ranks, threads_here);
    const auto same = [&](const Candidate& other) {
      return other.plan.layout.stages == plan.layout.stages && other.plan.microbatches == plan.microbatches &&
             other.plan.most_bundled == plan.most_bundled;
    };
    if (std::ranges::any_of(found, same)) continue;
    const Forecast forecast = forecaster.of(plan, most_actions);
    found.push_back({std::move(plan), forecast});
  }
  return found;
}

std::size_t best(const std::vector<Candidate>& candidates, double most_bytes_per_rank) {
  expect(!candidates.empty(), "a candidate to choose");
  const auto fits = [&](const Candidate& c) {
    return double(c.forecast.bytes_per_rank) <= most_bytes_per_rank;
  };
  double fastest = std::numeric_limits<double>::infinity();
  for (const Candidate& candidate : candidates) {
    if (fits(candidate)) fastest = std::min(fastest, candidate.forecast.seconds);
  }
  const auto wins = [&](const Candidate& c) { return fits(c) && c.forecast.seconds <= as_good * fastest; };
  const auto smaller = [](const Candidate& a, const Candidate& b) {
    return a.forecast.bytes_per_rank < b.forecast.bytes_per_rank;
  };
  auto winner = std::ranges::find_if(candidates, wins);
  if (winner == candidates.end()) winner = std::ranges::min_element(candidates, smaller);
  return std::size_t(winner - candidates.begin());
}

}  // namespace gradflow::experiment
