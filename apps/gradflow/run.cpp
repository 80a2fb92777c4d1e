#include "gradflow/experiment/run.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "commands.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/experiment/memory.hpp"
#include "gradflow/store/result_file.hpp"
#include "progress_line.hpp"
#include "stop_signals.hpp"
#include "time_limit.hpp"

namespace gradflow::apps {
namespace {

struct RunArguments {
  SweepOptions sweep;
  std::string output;
  std::optional<std::string> max_time;
  bool allow_mixed_numerics = false;
  bool retry_failed = false;
  std::optional<std::string> shard;
  std::optional<std::string> trace;
};

/// "2/8": the second of eight. @throws UserError
experiment::Shard shard_of(const std::optional<std::string>& text) {
  experiment::Shard shard;
  if (!text) return shard;
  int end = 0;
  const bool read = std::sscanf(text->c_str(), "%6d/%6d%n", &shard.number, &shard.of, &end) == 2;
  if (read && std::size_t(end) == text->size() && shard.number >= 1 && shard.number <= shard.of) return shard;
  throw UserError(
      fmt::format("--shard: read \"{}\"; expected which part of how many, counted from 1: 1/8 to 8/8, each "
                  "with an output "
                  "of its own",
                  *text));
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

void print_plan(const sweep::Sweep& sweep, const experiment::Plan& plan, std::uint64_t points,
                int ranks_here) {
  const pipeline::Layout& layout = plan.layout;
  fmt::print(stderr, "{} points on {} {} of {} {}{}, {} threads each, {}\n", points, layout.full_groups(),
             layout.full_groups() == 1 ? "pipeline" : "pipelines", layout.stages,
             layout.stages == 1 ? "stage" : "stages",
             layout.leftover() ? fmt::format(" and one of {}", layout.leftover()) : "", plan.threads,
             plan.schedule->name);
  const experiment::MemoryUse use = experiment::largest_use(sweep, plan).use;
  fmt::print(stderr, "memory about {} per rank: {}\n", readable_bytes(use.total()),
             what_is_kept(use.checkpointing));
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

/// A result file that is to be continued; none if there is no such file yet.
Reading reading_of_result(const std::string& file) {
  std::error_code unknown;
  if (!std::filesystem::is_regular_file(file, unknown)) return {};
  return {{file}, [=] {
            store::ResultFile::open(file).require_readable();
            return Exit::complete;
          }};
}

int run(const mpi::Communicator& world, const RunArguments& arguments) {
  const auto seconds_left = time_limit(arguments.max_time);
  if (arguments.output.empty())
    throw UserError("--output: read \"\"; expected the name of a result file, such as results/sweep.h5");
  const sweep::Sweep sweep = read_sweep(world, arguments.sweep);
  const experiment::Request request = arguments.sweep.request(world);
  require_threads(world, request);
  experiment::Plan plan = experiment::agree_on_plan(world, sweep, request, circumstances_of(world));
  std::ranges::copy(experiment::notes_on_memory(sweep, plan), std::back_inserter(plan.notes));

  const int ranks_here = world.ranks_on_this_host();
  ProgressLine line;
  experiment::RunOptions options{.output = arguments.output,
                                 .allow_mixed_numerics = arguments.allow_mixed_numerics,
                                 .retry_failed = arguments.retry_failed,
                                 .shard = shard_of(arguments.shard),
                                 .trace = trace_file(arguments.trace)};
  options.stop = stop_requested;
  if (seconds_left) options.seconds_left = *seconds_left;
  options.progress = [&, begun = false](std::uint64_t finished, std::uint64_t points) mutable {
    if (!std::exchange(begun, true))
      print_plan(sweep, plan, points, ranks_here);  // a run that is refused says nothing else
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
  const auto arguments = std::make_shared<RunArguments>();
  CLI::App* command = program.add_subcommand(
      "run",
      "Measures every point of a sweep into one HDF5 file. Alone, under mpirun -n N, or under srun.\n"
      "The same command on an existing file continues it: nothing that is finished is measured again.\n"
      "No result depends on the number of ranks, stages, threads or microbatches.");
  arguments->sweep.add_to(*command);
  command->add_option("-o,--output", arguments->output, "the result file")->required()->type_name("FILE.h5");
  command
      ->add_option("--max-time", arguments->max_time,
                   "have ended by this time after the start: 3h50m, 90m, 45s; a point begins only if\n"
                   "1.5 times its predicted time still fits. The end of a Slurm job is known without it")
      ->type_name("TIME");
  command->add_flag("--allow-mixed-numerics", arguments->allow_mixed_numerics,
                    "accept ranks or an old file whose arithmetic has other bits");
  command->add_flag("--retry-failed", arguments->retry_failed,
                    "measure points again that failed; why they did stands in FILE.h5.log");
  command
      ->add_option(
          "--shard", arguments->shard,
          "only this part of the sweep, the second of eight: 2/8; each into a file of its own, as jobs of "
          "an array do, and \"gradflow merge\" joins the files")
      ->type_name("I/N");
  command
      ->add_option("--trace", arguments->trace,
                   "a timeline of every pass, wait and commit of every rank, for chrome://tracing or "
                   "ui.perfetto.dev; an old one is replaced")
      ->type_name("FILE.json");
  command->callback([=, &chosen] {
    catch_stop_signals();  // before MPI: an early SIGUSR1 would end the rank
    chosen.tried_before = {[=] { return reading_of(arguments->sweep.file, arguments->sweep.overrides); },
                           [=] { return reading_of_result(arguments->output); }};
    chosen.command = [=](const mpi::Communicator& world) { return run(world, *arguments); };
  });
}

}  // namespace gradflow::apps
