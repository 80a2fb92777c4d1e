#include "gradflow/experiment/run.hpp"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "commands.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/store/result_file.hpp"
#include "progress_line.hpp"
#include "stop_signals.hpp"

namespace gradflow::apps {
namespace {

struct RunArguments {
  SweepOptions sweep;
  std::string output;
  std::optional<std::string> max_time;
  bool allow_mixed_numerics = false;
  std::optional<std::string> trace;
};

using Clock = std::chrono::steady_clock;

/// Whether to begin no further point: a signal came, or the time is up.
std::function<bool()> stop_rule(const std::optional<std::string>& max_time, Clock::time_point start) {
  if (!max_time) return stop_requested;
  const double limit = seconds_of(*max_time);
  return [limit, start] {
    return stop_requested() || std::chrono::duration<double>(Clock::now() - start).count() > limit;
  };
}

/// mpirun binds each of one or two ranks to a single core unless told otherwise.
std::string note_on_binding(int ranks_here) {
  const int share = int(std::thread::hardware_concurrency()) / ranks_here;
  if (usable_threads() >= share) return "";
  return fmt::format(
      "note: rank 0 is bound to {} CPUs though its share is {}; mpirun --bind-to none, or --map-by slot:PE=T "
      "--bind-to core, gives it more\n",
      usable_threads(), share);
}

/// Threads beyond what can be of use; the system would refuse some of them, each rank at another number.
void require_threads(const mpi::Communicator& world, const experiment::Request& request) {
  const int most = world.broadcast(4 * int(std::max(1u, std::thread::hardware_concurrency())));
  if (request.threads.value_or(1) <= most) return;
  throw UserError(fmt::format("--threads {}: expected at most {}, four for each CPU of this host, or auto",
                              *request.threads, most));
}

void print_plan(const experiment::Plan& plan, std::uint64_t points, int ranks_here) {
  const pipeline::Layout& layout = plan.layout;
  fmt::print(stderr, "{} points on {} {} of {} {}{}, {} threads each, {}\n", points, layout.full_groups(),
             layout.full_groups() == 1 ? "pipeline" : "pipelines", layout.stages,
             layout.stages == 1 ? "stage" : "stages",
             layout.leftover() ? fmt::format(" and one of {}", layout.leftover()) : "", plan.threads,
             plan.schedule->name);
  for (const std::string& note : plan.notes) fmt::print(stderr, "note: {}\n", note);
  fmt::print(stderr, "{}", note_on_binding(ranks_here));
}

int report_outcome(const experiment::Outcome& outcome, const std::string& output, bool speak) {
  if (speak) {
    fmt::print(stderr, "{}: {} of {} points done{}, {} by this run\n", output, outcome.done, outcome.points,
               outcome.failed ? fmt::format(", {} failed", outcome.failed) : "", outcome.measured);
    if (!outcome.complete()) fmt::print(stderr, "stopped early: continue with the same command\n");
  }
  if (!outcome.complete()) return Exit::resumable;
  return outcome.failed > 0 ? Exit::failed : Exit::complete;
}

std::string trace_file(const std::optional<std::string>& name) {
  if (name && name->empty())
    throw UserError("--trace: read \"\"; expected the name of a file, such as trace.json");
  return name.value_or("");
}

/// A result file that is to be continued; none if there is no such file yet.
Reading reading_of_result(const std::string& file) {
  std::error_code unknown;
  if (!std::filesystem::is_regular_file(file, unknown)) return {};
  return {{file}, [=] {
            store::ResultFile::open(file).require_readable();
            return Exit::complete;
          }};
}

int run(const mpi::Communicator& world, const RunArguments& arguments, Clock::time_point start) {
  const std::function<bool()> stop = stop_rule(arguments.max_time, start);
  if (arguments.output.empty())
    throw UserError("--output: read \"\"; expected the name of a result file, such as results/sweep.h5");
  const sweep::Sweep sweep = read_sweep(world, arguments.sweep);
  const experiment::Request request = arguments.sweep.request(world);
  require_threads(world, request);
  const experiment::Plan plan = experiment::agree_on_plan(world, sweep, request, circumstances_of(world));

  const int ranks_here = world.ranks_on_this_host();
  ProgressLine line;
  experiment::RunOptions options{.output = arguments.output,
                                 .allow_mixed_numerics = arguments.allow_mixed_numerics,
                                 .trace = trace_file(arguments.trace)};
  options.stop = stop;
  options.progress = [&, begun = false](std::uint64_t finished, std::uint64_t points) mutable {
    if (!std::exchange(begun, true))
      print_plan(plan, points, ranks_here);  // a run that is refused says nothing else
    line.show(finished, points);
  };

  experiment::Outcome outcome;
  Threads threads(plan.threads);
  threads.run([&] { outcome = experiment::run(world, sweep, plan, options); });
  line.end();
  return report_outcome(outcome, arguments.output, world.rank() == 0);
}

}  // namespace

void add_run(CLI::App& program, Chosen& chosen) {
  const auto start = Clock::now();
  const auto arguments = std::make_shared<RunArguments>();
  CLI::App* command = program.add_subcommand(
      "run",
      "Measures every point of a sweep into one HDF5 file. Alone, under mpirun -n N, or under srun.\n"
      "The same command on an existing file continues it: nothing that is finished is measured again.\n"
      "No result depends on the number of ranks, stages, threads or microbatches.");
  arguments->sweep.add_to(*command);
  command->add_option("-o,--output", arguments->output, "the result file")->required()->type_name("FILE.h5");
  command
      ->add_option("--max-time", arguments->max_time, "begin no new point after this time: 3h50m, 90m, 45s")
      ->type_name("TIME");
  command->add_flag("--allow-mixed-numerics", arguments->allow_mixed_numerics,
                    "accept ranks or an old file whose arithmetic has other bits");
  command
      ->add_option("--trace", arguments->trace,
                   "a timeline of every pass, wait and commit of every rank, for chrome://tracing or "
                   "ui.perfetto.dev; an old one is replaced")
      ->type_name("FILE.json");
  command->callback([=, &chosen] {
    catch_stop_signals();  // before MPI: an early SIGUSR1 would end the rank
    chosen.tried_before = {[=] { return reading_of(arguments->sweep.file, arguments->sweep.overrides); },
                           [=] { return reading_of_result(arguments->output); }};
    chosen.command = [=](const mpi::Communicator& world) { return run(world, *arguments, start); };
  });
}

}  // namespace gradflow::apps
