#include "gradflow/pipeline/trace.hpp"

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "gradflow/core/errors.hpp"

namespace gradflow::pipeline {
namespace {

using nlohmann::json;

TEST(Trace, BecomesCompleteEventsInMicroseconds) {
  const auto points = std::make_shared<std::vector<std::uint64_t>>(std::vector<std::uint64_t>{17, 21});
  const std::vector<TraceEvent> events = {{.activity = Activity::backward,
                                           .group = 3,
                                           .rank = 7,
                                           .start_seconds = 0.5,
                                           .end_seconds = 0.75,
                                           .points = points,
                                           .microbatch = 2},
                                          {.start_seconds = 1, .end_seconds = 1}};

  const json document = json::parse(chrome_trace(events));

  const json expected = {{"ph", "X"},
                         {"name", "backward"},
                         {"pid", 3},
                         {"tid", 7},
                         {"ts", 500'000.0},
                         {"dur", 250'000.0},
                         {"args", {{"points", {17, 21}}, {"microbatch", 2}}}};
  ASSERT_EQ(document["traceEvents"].size(), 2u);
  EXPECT_EQ(document["traceEvents"][0], expected);
  EXPECT_EQ(document["traceEvents"][1]["name"], "wait");
  EXPECT_TRUE(document["traceEvents"][1]["args"].empty());
}

TEST(Trace, OfNothingIsStillADocument) { EXPECT_TRUE(json::parse(chrome_trace({}))["traceEvents"].empty()); }

TEST(Trace, KeepsTheFirstEventsAndCountsTheOthers) {
  Trace trace(0, 0, 3);
  for (int i = 0; i < 5; ++i) const Traced traced(&trace, Activity::forward, nullptr, i);

  ASSERT_EQ(trace.events().size(), 3u);
  EXPECT_EQ(trace.events().back().microbatch, 2);
  EXPECT_EQ(trace.dropped(), 2);
  const Traced nothing(nullptr, Activity::wait);  // without a trace nothing happens
}

TEST(Trace, OfASimulationHasEveryPassOnce) {
  constexpr int P = 3, M = 4;
  const StageCost cost{1, 1, 0.25, 1};
  const Simulation simulation = simulate(actions(schedule("zb_h1"), {P, M, 1}), std::span(&cost, 1));

  std::set<std::tuple<int, Activity, std::int64_t>> passes;
  std::map<int, double> end;
  for (const TraceEvent& event : trace_of(simulation, M)) {
    EXPECT_TRUE(passes.insert({event.rank, event.activity, event.microbatch}).second);
    EXPECT_GE(event.start_seconds, end[event.rank]);
    end[event.rank] = event.end_seconds;
  }

  EXPECT_EQ(passes.size(), std::size_t(3 * P * M));
  EXPECT_EQ(std::ranges::max_element(end, {}, [](auto& it) { return it.second; })->second,
            simulation.makespan_seconds);
}

TEST(Trace, RefusesAPlaceThatCannotBeWrittenOnEveryRank) {
  const mpi::Communicator world = mpi::Communicator::world();
  for (const char* place : {"", "/", "sweep.toml", "no/such/folder/trace.json", "/proc/self/status/a.json"}) {
    try {
      require_trace_file(world, place);
      FAIL() << place;
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), testing::StartsWith("--trace " + std::string(place) + ": "));
      EXPECT_THAT(error.what(), testing::HasSubstr("such as trace.json"));
    }
  }
  EXPECT_NO_THROW(require_trace_file(world, "trace.json"));
}

/// A folder that all ranks know. @collective
std::filesystem::path shared_folder(const mpi::Communicator& world) {
  std::string name = (std::filesystem::temp_directory_path() / "gradflow_trace_XXXXXX").string();
  if (world.rank() == 0) mkdtemp(name.data());
  return world.broadcast(name);
}

TEST(Trace, OfAllRanksIsOneFile) {
  const mpi::Communicator world = mpi::Communicator::world();
  const std::filesystem::path folder = shared_folder(world);
  Trace trace(world.rank() % 2, world.rank(), 2);
  for (int m = 0; m < 3; ++m) const Traced traced(&trace, Activity::forward, nullptr, m);

  write_trace(world, trace, folder / "trace.json");

  if (world.rank() == 0) {
    std::ifstream file(folder / "trace.json");
    const json document = json::parse(file);
    std::map<int, int> events;  // of each rank
    for (const json& event : document["traceEvents"]) {
      ++events[event["tid"]];
      EXPECT_EQ(event["pid"], event["tid"].get<int>() % 2);
    }
    EXPECT_EQ(int(events.size()), world.size());
    EXPECT_EQ(events[world.size() - 1], 2);
    EXPECT_EQ(document["otherData"]["first_events_of_each_rank"], 2);
    EXPECT_EQ(document["otherData"]["dropped_events"], world.size());
  }
  EXPECT_THROW(write_trace(world, trace, folder / "no" / "trace.json"), Error);
  world.barrier();
  if (world.rank() == 0) std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace gradflow::pipeline
