#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "gradflow/store/standing.hpp"

namespace gradflow::apps {
namespace {

struct StatusArguments {
  std::string file;
  bool json = false;
};

std::string of_shard(const store::Standing& standing) {
  const auto shard = standing.launch.find("launch_shard");
  return shard == standing.launch.end() || shard->second == "1/1" ? "" : " in shard " + shard->second;
}

void print(const std::string& file, const store::Standing& now) {
  fmt::print("{}: {} of {} points done{}\n", file, now.done, now.points,
             now.failed ? fmt::format(", {} failed", now.failed) : "");
  fmt::print("  {}, last write {} ago\n",
             now.writer ? "written by " + *now.writer : std::string("nobody writes it"),
             readable_seconds(now.seconds_since_write));
  if (now.writer && now.left()) {
    fmt::print("  this launch: {} done{}, {} to go{}\n", *now.measured(), of_shard(now), *now.left(),
               now.seconds_left() ? fmt::format(", {:.3g} points/s, about {} left", *now.points_per_second(),
                                                readable_seconds(*now.seconds_left()))
                                  : "");
  } else if (!now.writer && now.left().value_or(0) > 0) {
    fmt::print("  the last launch{} left {} points: continue with the same command\n", of_shard(now),
               *now.left());
  }
}

template <class Value>
nlohmann::json or_null(const std::optional<Value>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

void print_json(const store::Standing& now) {
  const nlohmann::json json{{"points", now.points},
                            {"done", now.done},
                            {"failed", now.failed},
                            {"writer", or_null(now.writer)},
                            {"launch", now.launch},
                            {"seconds_since_launch", now.seconds_since_launch},
                            {"seconds_since_write", now.seconds_since_write},
                            {"measured", or_null(now.measured())},
                            {"left", or_null(now.left())},
                            {"points_per_second", or_null(now.points_per_second())},
                            {"seconds_left", or_null(now.seconds_left())}};
  fmt::print("{}\n", json.dump(2));
}

int status(const mpi::Communicator& world, const StatusArguments& arguments) {
  if (world.rank() != 0) return Exit::complete;
  const store::Standing now = store::standing_of(arguments.file);
  arguments.json ? print_json(now) : print(arguments.file, now);
  return Exit::complete;
}

}  // namespace

void add_status(CLI::App& program, Chosen& chosen) {
  const auto arguments = std::make_shared<StatusArguments>();
  CLI::App* command = program.add_subcommand(
      "status",
      "How far a sweep is: points done and failed, rate, time left, who writes the file. Looks at the file\n"
      "only, while the job writes it or afterwards, and disturbs nobody.");
  command->add_option("FILE.h5", arguments->file, "the result file")->required();
  command->add_flag("--json", arguments->json, "for programs");
  command->callback([=, &chosen] {
    chosen.command = [=](const mpi::Communicator& world) { return status(world, *arguments); };
  });
}

}  // namespace gradflow::apps
