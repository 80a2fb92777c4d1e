#include <fmt/format.h>

#include "gradflow/nn/data.hpp"
#include "gradflow/nn/loss.hpp"
#include "section.hpp"
#include "workload.hpp"

namespace gradflow::bench {
namespace {

struct Times {
  double weights = 0;
  double forward = 0;
  double backward = 0;
  double norms = 0;  ///< what is left of the weight gradients at the end

  double whole() const { return weights + forward + backward + norms; }
};

/// One bundle through a stage that holds the whole network, pass by pass.
Times pass_times(const nn::Bundle& bundle, const pipeline::Observation& observation) {
  Times times;
  std::optional<pipeline::Stage<float>> stage;
  times.weights = seconds_of([&] {
    const pipeline::BlockRange blocks{0, bundle.front().depth()};
    stage.emplace(bundle, blocks, 1, observation, [] {});
  });
  times.forward = seconds_of([&] { stage->forward(0, nn::input<float>(bundle, stage->rows(0))); });
  times.backward = seconds_of([&] { stage->backward(0, {}); });
  times.norms = seconds_of([&] { std::move(*stage).results(); });
  return times;
}

/// What a run with `more` costs beyond a run with `less`, over the run with standard statistics.
auto share(const std::string& more, const std::string& less) {
  return [=](const Round& round) { return (round.at(more) - round.at(less)) / round.at("standard"); };
}

auto share(const std::string& part) {
  return [=](const Round& round) { return round.at(part) / round.at("standard"); };
}

void measure(const Settings& settings, const Workload& work, const std::string& goal, Table& table) {
  const nn::Bundle bundle = work.bundles_of(work.points).front();
  const Rounds rounds(settings.repeats, [&] {
    Round round;
    const Times bare = pass_times(bundle, {});
    round["weights"] = bare.weights;
    round["forward"] = bare.forward;
    round["backward"] = bare.backward;
    round["bare"] = bare.whole();
    for (const char* preset : {"gradients", "lean", "standard", "full"}) {
      round[preset] = pass_times(bundle, observation_of(preset, work.depth)).whole();
    }
    return round;
  });
  const std::string what = work.name();
  table.add(what, "whole, standard statistics", rounds.of("standard"), "s");
  table.add(what, "weights generated, share", rounds.of(share("weights")), "1");
  table.add(what, "forward, share", rounds.of(share("forward")), "1");
  table.add(what, "backward to the inputs, share", rounds.of(share("backward")), "1");
  table.add(what, "weight gradients and their norms, share", rounds.of(share("gradients", "bare")), "1");
  table.add(what, "lean statistics, without weight gradients, share", rounds.of(share("lean", "bare")), "1");
  table.add(what, "standard statistics, share", rounds.of(share("standard", "gradients")), "1", goal);
  table.add(what, "full statistics, share", rounds.of(share("full", "gradients")), "1");
}

}  // namespace

void measure_parts(const mpi::Communicator&, const Settings& settings, Table& table) {
  measure(settings, {.width = 512, .batch = 256, .depth = 200}, "at most 0.10", table);
  measure(settings, {.width = 128, .batch = 64, .depth = 1000}, "at most 0.20", table);
  measure(settings, {.width = 128, .batch = 64, .depth = 1000, .points = 8}, "at most 0.20", table);
  measure(settings, {.width = 256, .batch = 32, .depth = 200, .points = 16}, "", table);
}

}  // namespace gradflow::bench
