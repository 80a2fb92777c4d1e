#include <chrono>
#include <cstdio>
#include <thread>

#include <fmt/core.h>

#include "blas_kernels.hpp"
#include "commands.hpp"
#include "gradflow/core/blas.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/core/memory.hpp"
#include "gradflow/hdf5/handle.hpp"
#include "gradflow/mpi/agreement.hpp"
#include "gradflow/mpi/environment.hpp"

namespace gradflow::apps {
namespace {

constexpr const char* about =
    "gradflow measures how signals and gradients propagate through the layers of very deep networks,\n"
    "split over MPI ranks, with the theory's prediction beside every measurement.\n"
    "\n"
    "  gradflow plan jobs/sweeps/quickstart.toml             what would happen, and how long it takes\n"
    "  mpirun -n 2 gradflow run jobs/sweeps/quickstart.toml -o results/quickstart.h5\n"
    "  gradflow report results/quickstart.h5 -o results/quickstart.html\n"
    "\n"
    "Exit status: 0 complete; 1 failed; 2 a mistake in the input, nothing was written; 75 stopped early,\n"
    "continue with the same command.";

void add_commands(CLI::App& program, Chosen& chosen) {
  add_plan(program, chosen);
  add_run(program, chosen);
  add_submit(program, chosen);
  add_show(program, chosen);
  add_report(program, chosen);
  add_theory(program, chosen);
  add_export(program, chosen);
  add_list(program, chosen);
  add_status(program, chosen);
  add_verify(program, chosen);
  add_merge(program, chosen);
  add_finalize(program, chosen);
  add_check(program, chosen);
  program.require_subcommand(1);
  program.set_version_flag("--version", GRADFLOW_VERSION);
}

/// The user's mistake is known to every rank; one of them speaks.
int tell_mistake(const std::string& message) {
  if (mpi::launch_rank() == 0) say(message);
  return Exit::mistake;
}

/// So is a common error.
int tell_common(const CommonError& error) {
  if (mpi::launch_rank() == 0) say(error.what());
  return Exit::failed;
}

std::string with_rank(const std::exception& error) {
  return fmt::format("rank {}: {}", mpi::launch_rank(), error.what());
}

/// A failure of one rank: the others wait for messages that will not come, so the whole job ends.
/// Ranks that meet the same trouble within a second find it told (store: claim_last_word), as long as this
/// one lives.
[[noreturn]] void end_job(const std::exception& error) {
  say(with_rank(error));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  mpi::abort(Exit::failed);
}

/// CLI11 calls every unknown command a missing one.
std::string complaint(const CLI::App& program, int argc, char** argv, const CLI::ParseError& error) {
  if (argc < 2 || argv[1][0] == '-' || !program.get_subcommands().empty()) return error.what();
  std::string names;
  for (const CLI::App* command : program.get_subcommands({})) names += " " + command->get_name();
  return fmt::format("unknown command \"{}\"; choose one of:{}", argv[1], names);
}

/// Parses the command line. Nothing: go on; otherwise the exit status.
std::optional<int> parse(CLI::App& program, int argc, char** argv) {
  try {
    program.parse(argc, argv);
    return {};
  } catch (const CLI::Success& asked_for_help) {
    return mpi::launch_rank() == 0 ? program.exit(asked_for_help) : Exit::complete;
  } catch (const CLI::ParseError& error) {
    // A rank that ends with an error ends the others: they wait until the first has spoken.
    std::optional<mpi::Environment> all;
    if (mpi::launch_size() > 1) all.emplace(argc, argv);
    const int status = tell_mistake(fmt::format("{}\nRun \"gradflow --help\" or \"gradflow COMMAND --help\".",
                                                complaint(program, argc, argv, error)));
    if (all) mpi::Communicator::world().barrier();
    return status;
  }
}

/// The rank that tells of it has time to do so.
[[noreturn]] void end_job_in_silence() {
  std::this_thread::sleep_for(std::chrono::seconds(1));
  mpi::abort(Exit::failed);
}

/// A mistake or a common error is the same on every rank, so the job ends in order; anything else ends it
/// within a second or so.
/// @param complaint  of this rank about the files it has tried
int execute(const Command& command, const std::string& complaint) {
  try {
    const mpi::Communicator world = mpi::Communicator::world();
    mpi::on_each(world, [&] {
      if (!complaint.empty()) throw UserError(complaint);
    });
    mpi::on_each(world, require_thread_safe_blas);
    return command(world);
  } catch (const UserError& error) {
    return tell_mistake(error.what());
  } catch (const CommonError& error) {
    return tell_common(error);
  } catch (const ToldError&) {
    end_job_in_silence();
  } catch (const std::exception& error) {
    end_job(error);
  }
}

int main(int argc, char** argv) {
  CLI::App program(about, "gradflow");
  Chosen chosen;
  add_commands(program, chosen);
  try {
    if (const std::optional<int> status = parse(program, argc, argv)) return *status;
    if (chosen.reading) return mpi::launch_rank() == 0 ? contained(*chosen.reading) : Exit::complete;
    const bool tries = mpi::launch_rank_on_host() == 0;  // one rank for all of its host
    const std::string complaint = tries ? complaint_of(chosen.tried_before) : "";
    hdf5::prepare_library();  // before MPI
    mpi::Environment environment(argc, argv);
    return execute(chosen.command, complaint);
  } catch (const UserError& error) {
    return tell_mistake(error.what());
  } catch (const CommonError& error) {
    return tell_common(error);
  } catch (const std::exception& error) {  // there is no MPI that could end the job
    say(with_rank(error));
    return Exit::failed;
  }
}

}  // namespace
}  // namespace gradflow::apps

int main(int argc, char** argv) {
  gradflow::apps::choose_blas_kernels(argv);
  gradflow::keep_freed_memory();
  return gradflow::apps::main(argc, argv);
}
