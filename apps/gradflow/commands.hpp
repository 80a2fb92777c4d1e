#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "gradflow/experiment/decision.hpp"
#include "gradflow/experiment/plan.hpp"
#include "gradflow/mpi/communicator.hpp"

namespace gradflow::apps {

/// One message to the user, without what a terminal would obey.
void say(const std::string& message);

/// Exit status of a sub-command; the contract of every batch script.
enum Exit : int { complete = 0, failed = 1, mistake = 2, resumable = 75 };

/// What a sub-command does once MPI is up. @collective over `world`
using Command = std::function<int(const mpi::Communicator& world)>;

/// Work on files that nobody vouches for: done by one rank, in a child process with limits, without MPI.
struct Reading {
  std::vector<std::string> files;  ///< their sizes set the limits
  std::function<int()> act;
};

/// Where a sub-command leaves what it will do: one reading and nothing else, or a command.
struct Chosen {
  Command command;
  std::optional<Reading> reading;
  /// What the command will read under MPI, where no child can be made, so that it is tried in one before. A
  /// reading without an act is none; one that cannot be made is left to the command to tell.
  std::vector<std::function<Reading()>> tried_before;
};

/// Runs the reading in a child process and says what it said. A child that dies is one message and
/// Exit::mistake. @pre MPI has not begun
int contained(const Reading& reading);

/// Tries the readings, each in a child process: what is wrong with the first that fails, or nothing.
/// @pre MPI has not begun
std::string complaint_of(const std::vector<std::function<Reading()>>& readings);

// Each adds one sub-command, with its help, to the program. One file each.
void add_run(CLI::App& program, Chosen& chosen);
void add_plan(CLI::App& program, Chosen& chosen);
void add_submit(CLI::App& program, Chosen& chosen);
void add_show(CLI::App& program, Chosen& chosen);
void add_report(CLI::App& program, Chosen& chosen);
void add_theory(CLI::App& program, Chosen& chosen);
void add_export(CLI::App& program, Chosen& chosen);
void add_list(CLI::App& program, Chosen& chosen);
void add_status(CLI::App& program, Chosen& chosen);
void add_verify(CLI::App& program, Chosen& chosen);
void add_merge(CLI::App& program, Chosen& chosen);
void add_finalize(CLI::App& program, Chosen& chosen);
void add_check(CLI::App& program, Chosen& chosen);

/// What `run` and `plan` have in common on their command lines.
struct SweepOptions {
  std::string file;
  std::vector<std::string> overrides;
  std::string stages = "auto";
  std::string microbatches = "auto";
  std::string threads = "auto";
  std::string bundle = "auto";
  std::string schedule = "streamed_1f1b";
  std::string memory = "auto";

  void add_to(CLI::App& command);

  /// The same on every rank, memory included. @collective
  /// @throws UserError for a count that is neither a positive number nor auto, or an amount of memory that is
  /// none
  experiment::Request request(const mpi::Communicator& world) const;
};

/// Reads the sweep on rank 0 and shares its text, so that a file on one node is enough. @collective
/// @throws UserError on every rank alike
sweep::Sweep read_sweep(const mpi::Communicator& world, const SweepOptions& options);

/// Reading the files a sweep names, end to end; without an act if it names none.
Reading reading_of(const sweep::Sweep& sweep);

/// The same of a sweep file. @throws UserError if it cannot be read
Reading reading_of(const std::string& sweep_file, const std::vector<std::string>& overrides);

/// Threads one rank can use, its share if several ranks of this host may use the same CPUs. @collective
int threads_per_rank(const mpi::Communicator& world);

/// Ranks, threads and memory as they are here, and the default network. @collective
experiment::Circumstances circumstances_of(const mpi::Communicator& world);

/// "signals kept every 577 and 24 layers, weights generated again"
std::string what_is_kept(const pipeline::Checkpointing& checkpointing);

/// What --trace names; empty without it. @throws UserError if it names nothing
std::string trace_file(const std::optional<std::string>& name);

/// "2us": seconds. @throws UserError unless it is a positive number with a unit
double latency_of(const std::string& text);

/// "10GB/s": bytes per second. @throws UserError unless it is a positive number with a unit
double bandwidth_of(const std::string& text);

/// "3h50m", "90m", "45s": seconds. @throws UserError, naming the option
double seconds_of(const std::string& duration, const char* option = "--max-time");

/// "8G", "500M", "1.5G": bytes. @throws UserError
double bytes_of(const std::string& amount);

/// "3 h 12 min", "4.2 s".
std::string readable_seconds(double seconds);

/// "1.3 GiB".
std::string readable_bytes(double bytes);

}  // namespace gradflow::apps
