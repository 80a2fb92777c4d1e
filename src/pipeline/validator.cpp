#include "gradflow/pipeline/validator.hpp"

#include <algorithm>
#include <array>

#include <fmt/core.h>

namespace gradflow::pipeline {
namespace {

std::string name_of(Action action) { return fmt::format("{} {}", name_of(action.pass), action.microbatch); }

std::optional<std::string> problem_of_list(const Actions& list, std::int64_t microbatches) {
  std::array<std::int64_t, 3> done = {};  // of each kind of pass
  for (const Action action : list) {
    const std::size_t kind = std::size_t(action.pass);
    if (action.microbatch != done[kind])
      return fmt::format("{} stands where microbatch {} is due", name_of(action), done[kind]);
    ++done[kind];
    if (kind > 0 && done[kind] > done[kind - 1])
      return fmt::format("{} stands before its {}", name_of(action), name_of(Pass(kind - 1)));
  }
  if (std::ranges::count(done, microbatches) == 3) return std::nullopt;
  return fmt::format("{} forward, {} backward and {} weight passes for {} microbatches", done[0], done[1],
                     done[2], microbatches);
}

/// Runs the messages of all stages against each other, without times.
class Rehearsal {
 public:
  Rehearsal(std::span<const Actions> lists, Sends sends)
      : lists_(lists), sends_(sends), positions_(lists.size()), unread_(lists.size()) {}

  std::optional<std::string> deadlock() {
    for (int stage = last_stage(); stage >= 0; --stage) runnable_.push_back(stage);
    while (!runnable_.empty()) {
      const int stage = runnable_.back();
      runnable_.pop_back();
      while (try_step(stage)) {
      }
    }
    for (int stage = 0; stage <= last_stage(); ++stage) {
      if (step_of(stage)) return description(stage);
    }
    return std::nullopt;
  }

 private:
  /// Half an action: the message before it or the message after it.
  struct Step {
    bool is_send;
    int peer;
    Action action;
  };

  /// Messages sent to a stage and not received yet, from its two neighbours.
  struct Unread {
    std::int64_t forward = 0;
    std::int64_t backward = 0;

    std::int64_t& of(Pass pass) { return pass == Pass::forward ? forward : backward; }
  };

  int last_stage() const { return int(lists_.size()) - 1; }

  /// The next message of this stage; nothing at its end. Passes at the ends of the pipeline
  /// lack one, and weight passes have none.
  std::optional<Step> step_of(int stage) {
    const Actions& list = lists_[std::size_t(stage)];
    for (std::size_t& at = positions_[std::size_t(stage)]; at < 2 * list.size(); ++at) {
      const Action action = list[at / 2];
      if (action.pass == Pass::weight) continue;
      const bool is_send = at % 2 == 1;
      const int downstream = stage + 1, upstream = stage - 1;
      const int peer = is_send == (action.pass == Pass::forward) ? downstream : upstream;
      if (0 <= peer && peer <= last_stage()) return Step{is_send, peer, action};
    }
    return std::nullopt;
  }

  bool try_step(int stage) {
    const std::optional<Step> step = step_of(stage);
    if (!step) return false;
    const bool done = sends_ == Sends::non_blocking ? try_free(stage, *step) : try_meeting(stage, *step);
    if (!done) return false;
    ++positions_[std::size_t(stage)];
    runnable_.push_back(step->peer);
    return true;
  }

  bool try_free(int stage, const Step& step) {
    std::int64_t& unread = unread_[std::size_t(step.is_send ? step.peer : stage)].of(step.action.pass);
    if (!step.is_send && unread == 0) return false;
    unread += step.is_send ? 1 : -1;
    return true;
  }

  bool try_meeting(int stage, const Step& step) {
    const std::optional<Step> other = step_of(step.peer);
    if (!other || other->peer != stage || other->is_send == step.is_send) return false;
    ++positions_[std::size_t(step.peer)];
    return true;
  }

  std::string wait_of(int stage) {
    const std::optional<Step> step = step_of(stage);
    if (!step) return fmt::format("stage {} has ended", stage);
    return fmt::format("stage {} waits to {} stage {} ({})", stage,
                       step->is_send ? "send to" : "receive from", step->peer, name_of(step->action));
  }

  std::string description(int stage) {
    return fmt::format("deadlock: {}, {}", wait_of(stage), wait_of(step_of(stage)->peer));
  }

  std::span<const Actions> lists_;
  Sends sends_;
  std::vector<std::size_t> positions_;  ///< twice the action, plus one after its receive
  std::vector<Unread> unread_;
  std::vector<int> runnable_;
};

}  // namespace

std::optional<std::string> problem_of(std::span<const Actions> lists, std::int64_t microbatches,
                                      Sends sends) {
  for (std::size_t stage = 0; stage < lists.size(); ++stage) {
    if (const auto problem = problem_of_list(lists[stage], microbatches)) {
      return fmt::format("stage {}: {}", stage, *problem);
    }
  }
  return Rehearsal(lists, sends).deadlock();
}

namespace {

/// The most microbatches that have had the pass `from` and not yet the pass `to`.
std::int64_t peak_between(const Actions& list, Pass from, Pass to) {
  std::int64_t now = 0, peak = 0;
  for (const Action action : list) {
    if (action.pass == from) peak = std::max(peak, ++now);
    if (action.pass == to) --now;
  }
  return peak;
}

}  // namespace

std::int64_t peak_in_flight(const Actions& list) { return peak_between(list, Pass::forward, Pass::backward); }

std::int64_t peak_deferred(const Actions& list) { return peak_between(list, Pass::backward, Pass::weight); }

std::int64_t peak_held(const Actions& list) { return peak_between(list, Pass::forward, Pass::weight); }

}  // namespace gradflow::pipeline
