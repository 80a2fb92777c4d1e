#include "gradflow/experiment/plan.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "gradflow/experiment/file_schema.hpp"
#include "gradflow/experiment/network.hpp"

namespace gradflow::apps {
namespace {

struct PlanArguments {
  SweepOptions sweep;
  int ranks = 0;
  bool json = false;
};

/// What `plan` says, as values.
struct Forecast {
  std::uint64_t points = 0;
  int least_depth = 0;
  experiment::Plan plan;
  int stacked = 1;  ///< points like the first that share a bundle
  std::uint64_t bytes_per_rank = 0;
  double file_bytes = 0;
  std::size_t statistics = 0;
  double seconds = 0;
};

Forecast forecast(const sweep::Sweep& sweep, const experiment::Plan& plan) {
  const experiment::Row row(sweep);
  const store::FileSchema schema = experiment::file_schema(sweep, row);
  const sweep::SweepPoint point = sweep.point(0);
  const nn::NetworkSpec network = experiment::network_of(point);
  const std::size_t real = experiment::precision_of(point) == experiment::Precision::float64 ? 8 : 4;
  return {.points = sweep.size(),
          .least_depth = experiment::network_of(experiment::shallowest_point(sweep)).depth(),
          .plan = plan,
          .stacked = experiment::bundled_points(plan, network),
          .bytes_per_rank = experiment::predicted_bytes(network, plan, real, row.layers(network.depth())),
          .file_bytes = experiment::predicted_file_bytes(schema),
          .statistics = schema.columns.size(),
          .seconds = experiment::predicted_seconds(sweep, plan)};
}

void print(const sweep::Sweep& sweep, const Forecast& forecast) {
  const experiment::Plan& plan = forecast.plan;
  if (!sweep.title().empty()) fmt::print("{}\n\n", sweep.title());
  for (const sweep::Axis& axis : sweep.axes()) {
    std::vector<std::string> keys;
    for (const sweep::Column& column : axis.columns) keys.push_back(column.key);
    fmt::print("  axis          {} ({} values)\n", fmt::join(keys, ", "), axis.size());
  }
  fmt::print("  points        {}\n", forecast.points);
  fmt::print("  ranks         {} = {} pipelines of {} stages{}\n", plan.layout.ranks,
             plan.layout.full_groups(), plan.layout.stages,
             plan.layout.leftover() ? fmt::format(" and one of {}", plan.layout.leftover()) : "");
  fmt::print("  schedule      {}, {} microbatches per point, up to {} points stacked, {} threads per rank\n",
             plan.schedule->name, plan.microbatches, forecast.stacked, plan.threads);
  fmt::print("  statistics    {} variables per point\n", forecast.statistics);
  fmt::print("  memory        about {} per rank (first point)\n",
             readable_bytes(double(forecast.bytes_per_rank)));
  fmt::print("  result file   about {}\n", readable_bytes(forecast.file_bytes));
  fmt::print("  time          about {} on cores like this one\n", readable_seconds(forecast.seconds));
  for (const std::string& note : plan.notes) fmt::print("  note          {}\n", note);
}

void print_json(const sweep::Sweep& sweep, const Forecast& forecast) {
  const experiment::Plan& plan = forecast.plan;
  fmt::print("{}\n", nlohmann::json{{"title", sweep.title()},
                                    {"points", forecast.points},
                                    {"ranks", plan.layout.ranks},
                                    {"groups", plan.layout.groups()},
                                    {"stages", plan.layout.stages},
                                    {"threads", plan.threads},
                                    {"stacked", forecast.stacked},
                                    {"microbatches", plan.microbatches},
                                    {"schedule", plan.schedule->name},
                                    {"bytes_per_rank", forecast.bytes_per_rank},
                                    {"file_bytes", forecast.file_bytes},
                                    {"seconds", forecast.seconds},
                                    {"notes", plan.notes}}
                         .dump(2));
}

int plan(const mpi::Communicator& world, const PlanArguments& arguments) {
  const sweep::Sweep sweep = read_sweep(world, arguments.sweep);
  const int threads = threads_per_rank(world);
  if (world.rank() != 0) return Exit::complete;
  const int ranks = arguments.ranks > 0 ? arguments.ranks : world.size();
  const Forecast result =
      forecast(sweep, experiment::make_plan(sweep, arguments.sweep.request(), ranks, threads));
  arguments.json ? print_json(sweep, result) : print(sweep, result);
  return Exit::complete;
}

}  // namespace

void add_plan(CLI::App& program, Chosen& chosen) {
  const auto arguments = std::make_shared<PlanArguments>();
  CLI::App* command = program.add_subcommand(
      "plan", "Points, layout, memory per rank, file size and time of a sweep. Runs nothing.");
  arguments->sweep.add_to(*command);
  command->add_option("--ranks", arguments->ranks, "plan for this many ranks")
      ->check(CLI::Range(1, 100'000'000));
  command->add_flag("--json", arguments->json, "for programs");
  command->callback([=, &chosen] {
    chosen.command = [=](const mpi::Communicator& world) { return plan(world, *arguments); };
  });
}

}  // namespace gradflow::apps
