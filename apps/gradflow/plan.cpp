#include "gradflow/experiment/plan.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "gradflow/experiment/cost_cache.hpp"
#include "gradflow/experiment/decision.hpp"
#include "gradflow/experiment/file_schema.hpp"
#include "gradflow/experiment/memory.hpp"
#include "gradflow/experiment/network.hpp"
#include "gradflow/stats/catalogue.hpp"

namespace gradflow::apps {
namespace {

using experiment::Candidate;

struct PlanArguments {
  SweepOptions sweep;
  int ranks = 0;
  std::string latency = "2us";
  std::string bandwidth = "10GB/s";
  bool measure_again = false;
  bool explain = false;
  bool json = false;
  std::optional<std::string> trace;
};

/// Actions of the simulation of the plan that is taken: every one of 16,384 stages and 48 microbatches.
constexpr std::int64_t most_actions = 1 << 21;
constexpr std::int64_t most_actions_of_a_preset = 1 << 14;
constexpr std::int64_t most_traced = 1 << 18;

/// What a point costs under a preset, with what the sweep adds by name, in the layout of the plan.
struct PresetCost {
  std::string_view name;
  double seconds_per_point = 0;
  double bytes_per_point = 0;
};

/// What `plan` says, as values.
struct Answer {
  std::uint64_t points = 0;
  experiment::Plan plan;
  experiment::Forecast forecast;
  std::vector<Candidate> candidates;
  std::size_t chosen = 0;  ///< among the candidates
  experiment::LargestUse largest;
  double file_bytes = 0;
  std::size_t statistics = 0;
  std::vector<PresetCost> presets;
};

/// The sweep with another preset.
sweep::Sweep with_preset(const sweep::Sweep& sweep, std::string_view preset) {
  std::vector<std::string> overrides = sweep.overrides();
  overrides.push_back(fmt::format("statistics.preset={}", preset));
  return sweep::Sweep::parse(sweep.text(), sweep.file(), sweep.schema(), overrides);
}

/// Presets of a sweep that no run takes need no comparison, and a huge axis is long to write out for each.
bool is_runnable(const sweep::Sweep& sweep) { return sweep.size() <= 100'000'000; }

std::vector<experiment::CostKinds> kinds_of_every_preset(const sweep::Sweep& sweep) {
  std::vector<experiment::CostKinds> all = experiment::cost_kinds(sweep);
  if (!is_runnable(sweep)) return all;
  for (const stats::Preset& preset : stats::presets()) {
    for (experiment::CostKinds& kinds : experiment::cost_kinds(with_preset(sweep, preset.name))) {
      all.push_back(std::move(kinds));
    }
  }
  return all;
}

/// Every preset beside the one of the sweep, whose forecast is known in full.
std::vector<PresetCost> costs_of_presets(const sweep::Sweep& sweep, const Answer& answer,
                                         const experiment::Costs& costs, const experiment::Link& link) {
  if (!is_runnable(sweep)) return {};
  const auto seconds = [&](const sweep::Sweep& of) {
    return experiment::Forecaster(of, costs, link).of(answer.plan, most_actions_of_a_preset).seconds;
  };
  const auto points = double(answer.points);
  const double whole_over_rough = answer.forecast.seconds / seconds(sweep);
  std::vector<PresetCost> presets;
  for (const stats::Preset& preset : stats::presets()) {
    const sweep::Sweep other = with_preset(sweep, preset.name);
    const experiment::Row row(other);  // the schema looks into it
    presets.push_back(
        {.name = preset.name,
         .seconds_per_point = whole_over_rough * seconds(other) / points,
         .bytes_per_point = experiment::predicted_file_bytes(experiment::file_schema(other, row)) / points});
  }
  return presets;
}

/// @param trace  written, unless its name is empty
Answer answer(const sweep::Sweep& sweep, const experiment::Request& request, const PlanArguments& arguments,
              const experiment::Circumstances& circumstances, const std::string& trace) {
  std::vector<std::string> notes;
  experiment::make_plan(sweep, request, circumstances.ranks, circumstances.threads_here);  // refuses mistakes
  const experiment::Costs costs =
      experiment::costs_for(kinds_of_every_preset(sweep), arguments.measure_again, notes);
  experiment::Decision decision = experiment::decide(sweep, request, circumstances, costs);
  const experiment::Row row(sweep);  // the schema looks into it
  const store::FileSchema schema = experiment::file_schema(sweep, row);

  Answer answer;
  answer.points = sweep.size();
  answer.plan = decision.best().plan;
  std::ranges::copy(experiment::notes_on_memory(sweep, answer.plan), std::back_inserter(notes));
  answer.largest = experiment::largest_use(sweep, answer.plan);
  answer.forecast = experiment::Forecaster(sweep, costs, circumstances.link).of(answer.plan, most_actions);
  answer.candidates = std::move(decision.candidates);
  answer.chosen = decision.chosen;
  answer.file_bytes = experiment::predicted_file_bytes(schema);
  answer.statistics = schema.columns.size();
  if (!trace.empty()) {
    experiment::Forecaster forecaster(sweep, costs, circumstances.link);
    pipeline::write_trace(forecaster.trace(answer.plan, most_traced), trace);
  }
  answer.presets = costs_of_presets(sweep, answer, costs, circumstances.link);
  answer.plan.notes.insert(answer.plan.notes.end(), notes.begin(), notes.end());
  return answer;
}

std::string stages_of(const pipeline::Layout& layout) {
  return fmt::format("{} pipelines of {} stages{}", layout.full_groups(), layout.stages,
                     layout.leftover() ? fmt::format(" and one of {}", layout.leftover()) : "");
}

void print_candidates(const Answer& answer) {
  fmt::print("\n    {:>9} {:>8} {:>13} {:>8} {:>16} {:>12} {:>16}\n", "pipelines", "stages", "microbatches",
             "stacked", "time", "utilisation", "memory per rank");
  for (std::size_t i = 0; i < answer.candidates.size(); ++i) {
    const Candidate& c = answer.candidates[i];
    fmt::print("  {} {:>9} {:>8} {:>13} {:>8} {:>16} {:>10.0f} % {:>16}\n", i == answer.chosen ? "*" : " ",
               c.plan.layout.groups(), c.plan.layout.stages, c.plan.microbatches, c.forecast.stacked,
               readable_seconds(c.forecast.seconds), 100 * c.forecast.utilisation,
               readable_bytes(double(c.forecast.bytes_per_rank)));
  }
  fmt::print("  * taken: the fewest stages within {:.0f} % of the fastest that fits into memory\n",
             100 * (experiment::as_good - 1));
}

void print(const sweep::Sweep& sweep, const Answer& answer, bool explain) {
  const experiment::Plan& plan = answer.plan;
  const experiment::Forecast& forecast = answer.forecast;
  if (!sweep.title().empty()) fmt::print("{}\n\n", sweep.title());
  for (const sweep::Axis& axis : sweep.axes()) {
    std::vector<std::string> keys;
    for (const sweep::Column& column : axis.columns) keys.push_back(column.key);
    fmt::print("  axis          {} ({} values)\n", fmt::join(keys, ", "), axis.size());
  }
  fmt::print("  points        {}\n", answer.points);
  fmt::print("  ranks         {} = {}\n", plan.layout.ranks, stages_of(plan.layout));
  fmt::print("  schedule      {}, {} microbatches per point, up to {} points stacked, {} threads per rank\n",
             plan.schedule->name, plan.microbatches, forecast.stacked, plan.threads);
  fmt::print("  statistics    {} variables per point\n", answer.statistics);
  fmt::print("  memory        about {} per rank of {} (point {}): {}\n",
             readable_bytes(answer.largest.use.total()), readable_bytes(plan.memory.limit),
             answer.largest.point, what_is_kept(answer.largest.use.checkpointing));
  fmt::print("  result file   about {}\n", readable_bytes(answer.file_bytes));
  fmt::print("  time          about {} on cores like this one, {:.0f} % of it at work\n",
             readable_seconds(forecast.seconds), 100 * forecast.utilisation);
  for (const PresetCost& preset : answer.presets) {
    fmt::print("  {:<13} {}: {} and {} per point\n", &preset == answer.presets.data() ? "presets" : "",
               preset.name, readable_seconds(preset.seconds_per_point),
               readable_bytes(preset.bytes_per_point));
  }
  for (const std::string& note : plan.notes) fmt::print("  note          {}\n", note);
  if (explain) print_candidates(answer);
}

nlohmann::json json_of(const Candidate& candidate) {
  return {{"groups", candidate.plan.layout.groups()},
          {"stages", candidate.plan.layout.stages},
          {"microbatches", candidate.plan.microbatches},
          {"stacked", candidate.forecast.stacked},
          {"bytes_per_rank", candidate.forecast.bytes_per_rank},
          {"seconds", candidate.forecast.seconds},
          {"utilisation", candidate.forecast.utilisation}};
}

void print_json(const sweep::Sweep& sweep, const Answer& answer, const experiment::Link& link, bool explain) {
  nlohmann::json json = json_of({answer.plan, answer.forecast});
  json["title"] = sweep.title();
  json["points"] = answer.points;
  json["ranks"] = answer.plan.layout.ranks;
  json["threads"] = answer.plan.threads;
  json["schedule"] = answer.plan.schedule->name;
  json["memory_limit"] = std::uint64_t(answer.plan.memory.limit);
  json["signals_kept_every"] = answer.largest.use.checkpointing.spans;
  json["weights_kept"] = answer.largest.use.checkpointing.keep_weights;
  json["file_bytes"] = answer.file_bytes;
  json["simulated"] = answer.forecast.simulated;
  json["latency_seconds"] = link.latency_seconds;
  json["bandwidth_bytes_per_second"] = link.bytes_per_second;
  for (const PresetCost& preset : answer.presets) {
    json["presets"][std::string(preset.name)] = {{"seconds_per_point", preset.seconds_per_point},
                                                 {"bytes_per_point", preset.bytes_per_point}};
  }
  json["notes"] = answer.plan.notes;
  if (explain) {
    for (const Candidate& candidate : answer.candidates) json["candidates"].push_back(json_of(candidate));
    json["chosen"] = answer.chosen;
  }
  fmt::print("{}\n", json.dump(2));
}

int plan(const mpi::Communicator& world, const PlanArguments& arguments) {
  const sweep::Sweep sweep = read_sweep(world, arguments.sweep);
  const experiment::Link link{.latency_seconds = latency_of(arguments.latency),
                              .bytes_per_second = bandwidth_of(arguments.bandwidth)};
  experiment::Circumstances circumstances = circumstances_of(world);
  const experiment::Request request = arguments.sweep.request(world);
  const std::string trace = trace_file(arguments.trace);
  if (!trace.empty()) pipeline::require_trace_file(world, trace);
  if (world.rank() != 0) return Exit::complete;
  circumstances.link = link;
  if (arguments.ranks > 0) circumstances.ranks = arguments.ranks;
  const Answer result = answer(sweep, request, arguments, circumstances, trace);
  arguments.json ? print_json(sweep, result, link, arguments.explain)
                 : print(sweep, result, arguments.explain);
  return Exit::complete;
}

}  // namespace

void add_plan(CLI::App& program, Chosen& chosen) {
  const auto arguments = std::make_shared<PlanArguments>();
  CLI::App* command = program.add_subcommand(
      "plan",
      "Points, layout, memory per rank, file size and time of a sweep. Runs nothing.\n"
      "The time comes from layers measured once on one core of this machine (a second or two; kept in\n"
      "$XDG_CACHE_HOME or ~/.cache, gradflow/costs.json) and a simulation of the schedule, message by "
      "message.\n"
      "Small sweeps are simulated whole. Of large ones a few stretches of the points are priced, the "
      "pipeline is\n"
      "simulated until it is full twice over, and time is continued in a straight line; of very long "
      "pipelines\n"
      "every n-th stage. Starting the program and writing the file are left out.");
  arguments->sweep.add_to(*command);
  command->add_option("--ranks", arguments->ranks, "plan for this many ranks")
      ->check(CLI::Range(1, 100'000'000));
  command->add_option("--latency", arguments->latency, "of a message between neighbouring ranks: 2us, 500ns")
      ->type_name("TIME")
      ->capture_default_str();
  command->add_option("--bandwidth", arguments->bandwidth, "between neighbouring ranks: 10GB/s, 800MB/s")
      ->type_name("RATE")
      ->capture_default_str();
  command->add_flag("--measure-again", arguments->measure_again, "do not believe costs measured earlier");
  command->add_flag("--explain", arguments->explain,
                    "the layouts that were compared, with what is predicted of each");
  command
      ->add_option("--trace", arguments->trace,
                   "the simulated timeline of one pipeline, its first bundles, in the form that run --trace "
                   "writes; an old one is replaced")
      ->type_name("FILE.json");
  command->add_flag("--json", arguments->json, "for programs");
  command->callback([=, &chosen] {
    chosen.tried_before = {[=] { return reading_of(arguments->sweep.file, arguments->sweep.overrides); }};
    chosen.command = [=](const mpi::Communicator& world) { return plan(world, *arguments); };
  });
}

}  // namespace gradflow::apps
