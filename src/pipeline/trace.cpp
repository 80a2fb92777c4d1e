#include "gradflow/pipeline/trace.hpp"

#include <array>
#include <fstream>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "gradflow/core/errors.hpp"

namespace gradflow::pipeline {
namespace {

constexpr double microseconds = 1e6;

nlohmann::json json_of(const TraceEvent& event) {
  nlohmann::json arguments = nlohmann::json::object();
  if (event.points) arguments["points"] = *event.points;
  if (event.microbatch >= 0) arguments["microbatch"] = event.microbatch;
  return {{"ph", "X"},
          {"name", name_of(event.activity)},
          {"pid", event.group},
          {"tid", event.rank},
          {"ts", event.start_seconds * microseconds},
          {"dur", (event.end_seconds - event.start_seconds) * microseconds},
          {"args", std::move(arguments)}};
}

std::string lines_of(std::span<const TraceEvent> events) {
  std::string lines;
  for (const TraceEvent& event : events) lines += (lines.empty() ? "" : ",\n") + json_of(event).dump();
  return lines;
}

/// The document around the lines of all ranks: they are joined as text, so that rank 0 never holds a tree of
/// all events.
std::string document(const std::vector<std::string>& lines, std::size_t most_events, std::int64_t dropped) {
  std::string text;
  for (const std::string& part : lines) {
    if (!part.empty()) text += (text.empty() ? "" : ",\n") + part;
  }
  nlohmann::json facts = {{"processes", "groups of ranks; each is one pipeline"},
                          {"threads", "ranks"},
                          {"dropped_events", dropped}};
  if (most_events > 0) facts["first_events_of_each_rank"] = most_events;
  return "{\"traceEvents\": [\n" + text +
         "\n],\n\"displayTimeUnit\": \"ms\",\n\"otherData\": " + facts.dump() + "}\n";
}

constexpr Activity activity_of(Pass pass) {
  switch (pass) {
    case Pass::forward:
      return Activity::forward;
    case Pass::backward:
      return Activity::backward;
    case Pass::weight:
      break;
  }
  return Activity::weight;
}

/// Why no trace can be written there; empty if it can.
std::string problem_of(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  std::error_code ignored;
  if (file.extension() != ".json") return "the name does not end in .json";
  if (std::filesystem::is_directory(file, ignored)) return "that is a folder";
  if (!std::filesystem::is_directory(folder, ignored)) return folder.string() + " is no folder";
  const bool exists = std::filesystem::exists(file, ignored);
  return access((exists ? file : folder).c_str(), W_OK) == 0 ? "" : "no permission to write there";
}

bool write_text(const std::filesystem::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  return out.good();
}

}  // namespace

std::string_view name_of(Activity activity) {
  constexpr std::array names{"forward", "backward", "weight", "wait", "generate", "commit"};
  return names[std::size_t(activity)];
}

double Trace::now_seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Trace::add(Activity activity, double start_seconds, TracedPoints points, std::int64_t microbatch) {
  if (events_.size() >= most_events_) {
    ++dropped_;
    return;
  }
  events_.push_back({.activity = activity,
                     .group = group_,
                     .rank = rank_,
                     .start_seconds = start_seconds,
                     .end_seconds = now_seconds(),
                     .points = std::move(points),
                     .microbatch = microbatch});
}

std::vector<TraceEvent> trace_of(const Simulation& simulation, std::int64_t microbatches) {
  std::vector<TraceEvent> events;
  for (const Event& event : simulation.events) {
    events.push_back({.activity = activity_of(event.action.pass),
                      .rank = event.stage,
                      .start_seconds = event.start_seconds,
                      .end_seconds = event.end_seconds,
                      .microbatch = event.action.microbatch % microbatches});
  }
  return events;
}

std::string chrome_trace(std::span<const TraceEvent> events, std::size_t most_events, std::int64_t dropped) {
  return document({lines_of(events)}, most_events, dropped);
}

void require_trace_file(const mpi::Communicator& world, const std::filesystem::path& file) {
  std::string problem = world.rank() == 0 ? problem_of(file) : "";
  problem = world.broadcast(std::move(problem));
  if (problem.empty()) return;
  throw UserError(
      fmt::format("--trace {}: {}; expected the name of a file in a folder that exists and can be "
                  "written to, such as trace.json",
                  file.string(), problem));
}

void write_trace(std::span<const TraceEvent> events, const std::filesystem::path& file) {
  if (!write_text(file, chrome_trace(events)))
    throw Error(file.string() + ": the trace could not be written");
}

void write_trace(const mpi::Communicator& world, const Trace& trace, const std::filesystem::path& file) {
  const std::vector<std::string> lines = world.gather(lines_of(trace.events()));
  std::int64_t dropped = 0;
  for (const std::string& count : world.gather(std::to_string(trace.dropped()))) dropped += std::stoll(count);
  const bool written = world.rank() != 0 || write_text(file, document(lines, trace.most_events(), dropped));
  if (!world.all_agree(written)) throw Error(file.string() + ": the trace could not be written");
}

}  // namespace gradflow::pipeline
