#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace gradflow::pipeline {

enum class Pass : std::uint8_t { forward, backward };

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
  per_bundle,  ///< when no microbatch of the bundle before is in flight any more
  never,       ///< at once
};

/// How a stage chooses between forward and backward: forward while fewer than `window` microbatches are in
/// flight in it and one is left, else backward of the oldest.
///
/// Backward passes go in ascending order in every schedule: gradients are then summed in the same order, so
/// results are equal to the last bit whichever schedule ran.
struct ScheduleRow {
  std::string_view name;
  std::int64_t (*window)(int stages, int stage);  ///< most microbatches in flight in a stage
  Flush flush;
  std::string_view doc;
};

/// Every schedule: gpipe, 1f1b, streamed_1f1b.
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

  /// Microbatches that went forward and not yet backward.
  std::int64_t in_flight() const noexcept { return forwarded_ - backwarded_; }

 private:
  bool may_go_forward() const noexcept { return in_flight() < window_; }

  std::int64_t window_;
  Flush flush_;
  std::int64_t begun_ = 0;  ///< microbatches of all bundles begun so far
  std::int64_t forwarded_ = 0;
  std::int64_t backwarded_ = 0;
  bool ended_ = false;
};

/// The whole list of one stage. @pre 0 <= stage < shape.stages
Actions actions(const ScheduleRow& schedule, PipelineShape shape, int stage);

/// The lists of all stages, by stage.
std::vector<Actions> actions(const ScheduleRow& schedule, PipelineShape shape);

}  // namespace gradflow::pipeline
