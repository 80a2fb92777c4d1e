#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gradflow/mpi/communicator.hpp"
#include "gradflow/pipeline/groups.hpp"
#include "gradflow/pipeline/simulator.hpp"

namespace gradflow::pipeline {

/// What a rank spends its time on. `wait` is for a message of a neighbour, `generate` makes the weights of a
/// bundle, `commit` writes to the result file.
enum class Activity : std::uint8_t { forward, backward, weight, wait, generate, commit };

std::string_view name_of(Activity activity);

/// Indices in the sweep, shared by the events of one bundle.
using TracedPoints = std::shared_ptr<const std::vector<std::uint64_t>>;

/// Something a rank did, in seconds since the start.
struct TraceEvent {
  Activity activity = Activity::wait;
  int group = 0;
  int rank = 0;  ///< in the whole job
  double start_seconds = 0;
  double end_seconds = 0;
  TracedPoints points = nullptr;  ///< none where an activity belongs to no point
  std::int64_t microbatch = -1;   ///< of the bundle; -1: of none
};

/// What one rank does, as it happens: the first events, so that memory is bounded however long it runs.
/// Passes, waits and generation never overlap; a commit may lie inside any of them.
class Trace {
 public:
  /// Time starts now.
  Trace(int group, int rank, std::size_t most_events)
      : group_(group), rank_(rank), most_events_(most_events) {}

  double now_seconds() const;
  void add(Activity activity, double start_seconds, TracedPoints points = nullptr,
           std::int64_t microbatch = -1);

  std::span<const TraceEvent> events() const noexcept { return events_; }
  std::size_t most_events() const noexcept { return most_events_; }
  std::int64_t dropped() const noexcept { return dropped_; }

 private:
  int group_;
  int rank_;
  std::size_t most_events_;
  std::int64_t dropped_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::vector<TraceEvent> events_;
};

/// One event, from its construction to its destruction. Nothing without a trace.
class Traced {
 public:
  Traced(Trace* trace, Activity activity, TracedPoints points = nullptr, std::int64_t microbatch = -1)
      : trace_(trace),
        activity_(activity),
        points_(std::move(points)),
        microbatch_(microbatch),
        start_seconds_(trace ? trace->now_seconds() : 0) {}
  Traced(const Traced&) = delete;
  Traced& operator=(const Traced&) = delete;
  ~Traced() {
    if (trace_) trace_->add(activity_, start_seconds_, std::move(points_), microbatch_);
  }

 private:
  Trace* trace_;
  Activity activity_;
  TracedPoints points_;
  std::int64_t microbatch_;
  double start_seconds_;
};

/// What a simulated pipeline does: stage k is rank k of group 0. @param microbatches  of each bundle, at
/// least 1
std::vector<TraceEvent> trace_of(const Simulation& simulation, std::int64_t microbatches);

/// Events in the Chrome trace event format, for chrome://tracing or ui.perfetto.dev: one JSON document, a
/// process per group and a thread per rank, times in microseconds.
/// @param most_events  of each rank, for the metadata @param dropped  events beyond them, of all ranks
std::string chrome_trace(std::span<const TraceEvent> events, std::size_t most_events = 0,
                         std::int64_t dropped = 0);

/// Refuses a trace file that could not be written at the end, or whose name does not end in .json: it might
/// be a file of another kind that somebody needs. @collective
/// @throws UserError on every rank, naming the option
void require_trace_file(const mpi::Communicator& world, const std::filesystem::path& file);

/// Writes events to a file, as chrome_trace(). @throws Error if it cannot be written
void write_trace(std::span<const TraceEvent> events, const std::filesystem::path& file);

/// Writes the events of all ranks to one file, on rank 0. @collective
/// @throws Error on every rank if it cannot be written
void write_trace(const mpi::Communicator& world, const Trace& trace, const std::filesystem::path& file);

}  // namespace gradflow::pipeline
