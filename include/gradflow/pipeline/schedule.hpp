#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace gradflow::pipeline {

/// The backward pass is split in two, as in Qi et al., Zero Bubble Pipeline Parallelism (ICLR 2024):
/// `backward` gives dE/dx, for which the stage upstream waits, and `weight` adds up dE/dW, for which nobody
/// does.
enum class Pass : std::uint8_t { forward, backward, weight };

std::string_view name_of(Pass pass);

/// One pass of one microbatch through the blocks of a stage. Microbatches count from 0 through all bundles of
/// the stream.
struct Action {
  Pass pass = Pass::forward;
  std::int64_t microbatch = 0;

  friend bool operator==(Action, Action) = default;
};

using Actions = std::vector<Action>;

/// A pipeline and its work: `bundles` bundles of `microbatches` microbatches each.
struct PipelineShape {
  int stages = 1;
  std::int64_t microbatches = 1;  ///< per bundle
  std::int64_t bundles = 1;

  std::int64_t all_microbatches() const noexcept { return microbatches * bundles; }
};

/// When a stage may begin the next bundle.
enum class Flush : std::uint8_t {
  per_bundle,  ///< when every pass of the bundle before is done
  never,       ///< at once
};

/// How a stage chooses its next pass: the oldest weight pass if more than `most_deferred` wait, else forward
/// while fewer than `window` microbatches are in flight and one is left, else backward of the oldest.
///
/// A stage that would have to wait for a message runs the oldest waiting weight pass meanwhile.
/// Passes of one kind go in ascending order in every schedule: gradients are then summed in the same order,
/// so results are equal to the last bit whichever schedule ran.
struct ScheduleRow {
  std::string_view name;
  std::int64_t (*window)(int stages, int stage);         ///< most microbatches in flight in a stage
  std::int64_t (*most_deferred)(int stages, int stage);  ///< most weight passes put off, after a backward
  Flush flush;
  std::string_view doc;
};

/// Every schedule: gpipe, 1f1b, zb_h1, streamed_1f1b.
std::span<const ScheduleRow> schedules();

/// @throws UserError naming every known schedule
const ScheduleRow& schedule(std::string_view name);

/// The actions of one stage, produced one at a time, because a sweep may have 1e8 points and may be stopped
/// early.
///
///     while (true) {
///       if (stream.wants_bundle()) more ? stream.begin_bundle(microbatches) : stream.end();
///       const auto action = stream.next();
///       if (!action) break;  // drained
///       ...
///     }
///
/// All stages of a pipeline produce matching actions if they are told the same bundles and the same end.
class ActionStream {
 public:
  /// @pre 0 <= stage < stages
  ActionStream(const ScheduleRow& schedule, int stages, int stage);

  /// Whether the schedule would begin another bundle now: answer with begin_bundle() or end() before next().
  bool wants_bundle() const noexcept;

  /// One more bundle of this many microbatches. Bundles may differ in their number. @pre wants_bundle(),
  /// microbatches >= 1
  void begin_bundle(std::int64_t microbatches);

  /// No bundle follows: what is in flight drains. @pre wants_bundle()
  void end();

  /// What to do now; nothing once the stream has ended and is drained. @pre not wants_bundle()
  std::optional<Action> next();

  /// What can be done meanwhile if the action that next() gave waits for its message, or nothing of next()
  /// but the bundle that wants_bundle() asks for: the oldest weight pass that is put off, if there is one.
  std::optional<Action> meanwhile(std::optional<Action> waiting);

  /// Microbatches that went forward and not yet backward.
  std::int64_t in_flight() const noexcept { return forwarded_ - backwarded_; }

  /// Microbatches that went backward and whose weight gradients are still to be added.
  std::int64_t deferred() const noexcept { return backwarded_ - weighted_; }

 private:
  bool may_go_forward() const noexcept { return in_flight() < window_; }
  Action oldest_weight_pass() noexcept { return {Pass::weight, weighted_++}; }

  std::int64_t window_;
  std::int64_t most_deferred_;
  Flush flush_;
  std::int64_t begun_ = 0;  ///< microbatches of all bundles begun so far
  std::int64_t forwarded_ = 0;
  std::int64_t backwarded_ = 0;
  std::int64_t weighted_ = 0;
  bool ended_ = false;
};

/// The whole list of one stage that never waits: every weight pass is put off as long as the schedule lets
/// it, but none beyond the beginning of a bundle, whose weights need the memory of the one before.
/// @pre 0 <= stage < shape.stages
Actions actions(const ScheduleRow& schedule, PipelineShape shape, int stage);

/// The lists of all stages, by stage.
std::vector<Actions> actions(const ScheduleRow& schedule, PipelineShape shape);

}  // namespace gradflow::pipeline
