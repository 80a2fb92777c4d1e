#include "gradflow/pipeline/schedule.hpp"

#include <array>
#include <limits>

#include "gradflow/core/catalogue.hpp"
#include "gradflow/core/errors.hpp"

namespace gradflow::pipeline {
namespace {

std::int64_t everything(int, int) { return std::numeric_limits<std::int64_t>::max(); }
std::int64_t stages_from_here(int stages, int stage) { return stages - stage; }

/// Enough to absorb jitter; each costs as much memory as a microbatch in flight. A pipeline of one stage has
/// nobody to wait for.
std::int64_t a_few(int stages, int) { return stages == 1 ? 0 : 4; }
std::int64_t stages_before(int, int stage) { return stage; }

constexpr std::array catalogue{
    ScheduleRow{"gpipe", everything, a_few, Flush::per_bundle,
                "all forward passes of a bundle, then all backward ones; Huang et al., GPipe (NeurIPS 2019)"},
    ScheduleRow{
        "1f1b", stages_from_here, a_few, Flush::per_bundle,
        "one forward, one backward: stage k of P holds at most P - k microbatches; the pipeline drains after "
        "each bundle; Narayanan et al., PipeDream-Flush (ICML 2021)"},
    ScheduleRow{
        "zb_h1", stages_from_here, stages_before, Flush::per_bundle,
        "1f1b whose stage k puts off the weight gradients of k microbatches, which fill the drain: no "
        "stage holds more than P; Qi et al., Zero Bubble Pipeline Parallelism (ICLR 2024)"},
    ScheduleRow{
        "streamed_1f1b", stages_from_here, a_few, Flush::never,
        "1f1b through all bundles without draining: their weights never change, so the next bundle need not "
        "wait; Narayanan et al., PipeDream (SOSP 2019)"},
};

}  // namespace

std::string_view name_of(Pass pass) {
  constexpr std::array names{"forward", "backward", "weight"};
  return names[std::size_t(pass)];
}

std::span<const ScheduleRow> schedules() { return catalogue; }

const ScheduleRow& schedule(std::string_view name) { return find(schedules(), "schedule", name); }

ActionStream::ActionStream(const ScheduleRow& schedule, int stages, int stage)
    : window_(schedule.window(stages, stage)),
      most_deferred_(schedule.most_deferred(stages, stage)),
      flush_(schedule.flush) {
  expect(0 <= stage && stage < stages, "a stage of the pipeline");
}

bool ActionStream::wants_bundle() const noexcept {
  const bool may_begin =
      flush_ == Flush::per_bundle ? weighted_ == begun_ : may_go_forward() && deferred() <= most_deferred_;
  return !ended_ && forwarded_ == begun_ && may_begin;
}

void ActionStream::begin_bundle(std::int64_t microbatches) {
  expect(wants_bundle(), "a bundle begins when the schedule asks for it");
  expect(microbatches >= 1, "a bundle has a microbatch");
  begun_ += microbatches;
}

void ActionStream::end() {
  expect(wants_bundle(), "the stream ends where the schedule would begin a bundle");
  ended_ = true;
}

std::optional<Action> ActionStream::next() {
  expect(!wants_bundle(), "the schedule knows whether another bundle follows");
  if (deferred() > most_deferred_) return oldest_weight_pass();
  if (forwarded_ < begun_ && may_go_forward()) return Action{Pass::forward, forwarded_++};
  if (in_flight() > 0) return Action{Pass::backward, backwarded_++};
  if (deferred() > 0) return oldest_weight_pass();
  return std::nullopt;
}

std::optional<Action> ActionStream::meanwhile(std::optional<Action> waiting) {
  const bool counted_but_not_run = waiting && waiting->pass == Pass::backward;
  if (deferred() - (counted_but_not_run ? 1 : 0) <= 0) return std::nullopt;
  return oldest_weight_pass();
}

Actions actions(const ScheduleRow& schedule, PipelineShape shape, int stage) {
  ActionStream stream(schedule, shape.stages, stage);
  Actions list;
  std::int64_t bundles = 0;
  const auto begin_bundle = [&] {
    while (const std::optional<Action> weight_pass = stream.meanwhile({})) list.push_back(*weight_pass);
    stream.begin_bundle(shape.microbatches);
  };
  while (true) {
    if (stream.wants_bundle()) bundles++ < shape.bundles ? begin_bundle() : stream.end();
    const std::optional<Action> action = stream.next();
    if (!action) return list;
    list.push_back(*action);
  }
}

std::vector<Actions> actions(const ScheduleRow& schedule, PipelineShape shape) {
  std::vector<Actions> lists;
  for (int stage = 0; stage < shape.stages; ++stage) lists.push_back(actions(schedule, shape, stage));
  return lists;
}

}  // namespace gradflow::pipeline
