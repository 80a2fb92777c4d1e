#include "gradflow/pipeline/simulator.hpp"

#include <algorithm>
#include <queue>

#include "gradflow/core/errors.hpp"
#include "gradflow/pipeline/validator.hpp"

namespace gradflow::pipeline {
namespace {

/// What one stage has done so far, and the messages that are on their way to it, by arrival time.
struct Clock {
  std::size_t next = 0;  ///< action
  double now_seconds = 0;
  std::int64_t backwarded = 0;
  std::int64_t weighted = 0;  ///< weight passes that stand later in the list may be done already
  std::queue<double> from_upstream;
  std::queue<double> from_downstream;
};

class Pipeline {
 public:
  Pipeline(std::span<const Actions> lists, std::span<const StageCost> costs, Events keep)
      : lists_(lists), costs_(costs), keep_(keep), clocks_(lists.size()), times_(lists.size()) {}

  // The order of a stage is fixed, so times follow from messages alone: a stage runs until it lacks one, and
  // a neighbour that was sent something is looked at again.
  void run() {
    std::vector<int> runnable;
    for (int stage = int(lists_.size()) - 1; stage >= 0; --stage) runnable.push_back(stage);
    while (!runnable.empty()) {
      const int stage = runnable.back();
      runnable.pop_back();
      if (!run_stage(stage)) continue;
      if (stage > 0) runnable.push_back(stage - 1);
      if (stage < last_stage()) runnable.push_back(stage + 1);
    }
  }

  Simulation result() {
    Simulation simulation;
    for (const Clock& clock : clocks_) {
      simulation.makespan_seconds = std::max(simulation.makespan_seconds, clock.now_seconds);
    }
    double idle = 0;
    for (std::size_t stage = 0; stage < lists_.size(); ++stage) {
      expect(clocks_[stage].next == lists_[stage].size(), "every stage of a valid schedule comes to its end");
      times_[stage].idle_seconds = simulation.makespan_seconds - times_[stage].busy_seconds;
      times_[stage].peak_in_flight = peak_in_flight(lists_[stage]);
      idle += times_[stage].idle_seconds;
    }
    if (idle > 0) simulation.idle_fraction = idle / (double(lists_.size()) * simulation.makespan_seconds);
    simulation.stages = std::move(times_);
    simulation.events = std::move(events_);
    return simulation;
  }

 private:
  int last_stage() const { return int(lists_.size()) - 1; }
  const StageCost& cost_of(int stage) const { return costs_[costs_.size() == 1 ? 0 : std::size_t(stage)]; }

  bool run_stage(int stage) {
    Clock& clock = clocks_[std::size_t(stage)];
    const Actions& list = lists_[std::size_t(stage)];
    const std::size_t before = clock.next;
    while (clock.next < list.size() && run_action(stage, clock, list[clock.next])) ++clock.next;
    return clock.next > before;
  }

  bool run_action(int stage, Clock& clock, Action action) {
    if (action.pass == Pass::weight) {
      if (action.microbatch == clock.weighted) run_weight_pass(stage, clock);
      return true;
    }
    const bool forward = action.pass == Pass::forward;
    if (stage != (forward ? 0 : last_stage())) {
      std::queue<double>& inbox = forward ? clock.from_upstream : clock.from_downstream;
      if (inbox.empty()) return false;
      await(stage, clock, inbox.front());
      inbox.pop();
    }
    const StageCost& cost = cost_of(stage);
    spend(stage, clock, action, forward ? cost.forward_seconds : cost.backward_seconds);
    if (!forward) ++clock.backwarded;
    deliver(stage, action.pass, clock.now_seconds + cost.message_seconds);
    return true;
  }

  void await(int stage, Clock& clock, double arrival_seconds) {
    while (clock.now_seconds < arrival_seconds && clock.weighted < clock.backwarded) {
      run_weight_pass(stage, clock);
    }
    clock.now_seconds = std::max(clock.now_seconds, arrival_seconds);
  }

  void run_weight_pass(int stage, Clock& clock) {
    spend(stage, clock, {Pass::weight, clock.weighted++}, cost_of(stage).weight_seconds);
  }

  void spend(int stage, Clock& clock, Action action, double seconds) {
    const double start = clock.now_seconds;
    clock.now_seconds += seconds;
    times_[std::size_t(stage)].busy_seconds += seconds;
    if (keep_ == Events::keep) events_.push_back({stage, action, start, clock.now_seconds});
  }

  void deliver(int stage, Pass pass, double arrival_seconds) {
    if (pass == Pass::forward) {
      if (stage < last_stage()) clocks_[std::size_t(stage) + 1].from_upstream.push(arrival_seconds);
    } else {
      if (stage > 0) clocks_[std::size_t(stage) - 1].from_downstream.push(arrival_seconds);
    }
  }

  std::span<const Actions> lists_;
  std::span<const StageCost> costs_;
  Events keep_;
  std::vector<Clock> clocks_;
  std::vector<StageTimes> times_;
  std::vector<Event> events_;
};

}  // namespace

Simulation simulate(std::span<const Actions> lists, std::span<const StageCost> costs, Events events) {
  expect(costs.size() == 1 || costs.size() == lists.size(), "costs for every stage, or one for all");
  Pipeline pipeline(lists, costs, events);
  pipeline.run();
  return pipeline.result();
}

}  // namespace gradflow::pipeline
