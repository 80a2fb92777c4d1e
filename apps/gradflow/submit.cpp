#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <optional>
#include <spawn.h>
#include <string_view>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include "batch_script.hpp"
#include "commands.hpp"
#include "gradflow/experiment/cost_cache.hpp"
#include "gradflow/experiment/decision.hpp"
#include "gradflow/experiment/file_schema.hpp"
#include "gradflow/experiment/memory.hpp"
#include "gradflow/mpi/agreement.hpp"

namespace gradflow::apps {
namespace {

using experiment::Candidate;

struct SubmitArguments {
  SweepOptions sweep;
  std::vector<std::string> given;  ///< of the sweep's options, as `run` takes them
  std::string output;
  int nodes = 1;
  std::string time;
  int cores_per_node = 0;
  int ranks_per_node = 0;
  std::string partition;
  std::string account;
  bool no_requeue = false;
  bool dry_run = false;
};

/// What a job is predicted to be.
struct Job {
  Candidate candidate;
  int ranks_per_node = 1;
  int threads = 1;
  double memory_per_node = 0;  ///< bytes
  double file_bytes = 0;
  std::uint64_t points = 0;
};

/// `run` keeps to this share of what a rank may use.
constexpr double share_of_memory = 0.8;

/// MPI alone wants some.
constexpr double least_bytes_per_rank = 256.0 * (1 << 20);

/// Forecasts on other cores than those of the job are no better.
constexpr double margin = 1.25;

/// Ranks a node of so many cores can have with equal numbers of cores: powers of two, and one for each core.
std::vector<int> ranks_of_a_node(const SubmitArguments& arguments, int cores) {
  if (arguments.ranks_per_node > 0) return {arguments.ranks_per_node};
  std::vector<int> counts;
  for (int ranks = 1; ranks < cores; ranks *= 2) {
    if (cores % ranks == 0) counts.push_back(ranks);
  }
  counts.push_back(cores);
  return counts;
}

/// The fastest of all ways to share a node among ranks. Fewer ranks win a tie: they share memory.
Job predicted(const sweep::Sweep& sweep, const SubmitArguments& arguments, const experiment::Request& request,
              int cores, std::vector<std::string>& notes) {
  const experiment::Costs costs = experiment::costs_for(experiment::cost_kinds(sweep), false, notes);
  std::vector<Job> jobs;
  for (const int ranks : ranks_of_a_node(arguments, cores)) {
    experiment::Request of_rank = request;
    of_rank.memory.limit /= ranks;
    of_rank.memory.ample = std::min(of_rank.memory.ample, of_rank.memory.limit);
    const experiment::Circumstances circumstances{
        .ranks = arguments.nodes * ranks, .threads_here = cores / ranks, .link = {}};
    Candidate best = experiment::decide(sweep, of_rank, circumstances, costs).best();
    const double bytes = margin * double(best.forecast.bytes_per_rank) / share_of_memory;
    const double of_node = ranks * std::max(bytes, least_bytes_per_rank);
    jobs.push_back({std::move(best), ranks, cores / ranks, of_node, 0, sweep.size()});
  }

  const auto seconds = [](const Job& job) { return job.candidate.forecast.seconds; };
  const double fastest = seconds(*std::ranges::min_element(jobs, {}, seconds));
  const experiment::Row row(sweep);  // the schema looks into it
  Job job = *std::ranges::find_if(
      jobs, [&](const Job& it) { return seconds(it) <= experiment::as_good * fastest; });
  job.file_bytes = experiment::predicted_file_bytes(experiment::file_schema(sweep, row));
  std::ranges::copy(experiment::notes_on_memory(sweep, job.candidate.plan), std::back_inserter(notes));
  return job;
}

/// Points that are stacked begin and end together: no request to stop is heard in between.
double seconds_of_a_bundle(const Job& job) {
  const experiment::Forecast& forecast = job.candidate.forecast;
  const double groups = job.candidate.plan.layout.groups();
  return std::min(forecast.seconds,
                  forecast.seconds * groups * double(forecast.stacked) / double(job.points));
}

/// Slurm may ask up to 60 s early, and a site's clock is coarse.
double seconds_to_stop(const Job& job, double limit) {
  return std::min(60 + 2 * margin * seconds_of_a_bundle(job), limit / 2);
}

/// How often the time limit will stop the job before all is measured.
int expected_restarts(const Job& job, double limit) {
  const double useful = limit - seconds_to_stop(job, limit);
  const double starts = std::ceil(margin * job.candidate.forecast.seconds / useful);
  return int(std::clamp(starts - 1, 0.0, 1e6));
}

void require_possible(const Job& job, double limit, const std::string& time) {
  const double bundle = seconds_of_a_bundle(job);
  if (bundle < limit) return;
  throw UserError(fmt::format(
      "--time: read \"{}\"; points that are measured together are predicted to take {}, so no start would "
      "ever finish one: give more time, more --nodes with --stages, or --bundle 1",
      time, readable_seconds(bundle)));
}

std::string output_of(const SubmitArguments& arguments) {
  if (!arguments.output.empty()) return arguments.output;
  return std::filesystem::path(arguments.sweep.file).stem().string() + ".h5";
}

/// A word that begins with a dash would be taken for an option.
std::string as_operand(const std::string& file) { return file.starts_with('-') ? "./" + file : file; }

BatchScript script_of(const SubmitArguments& arguments, const Job& job, double limit) {
  BatchScript script;
  script.nodes = arguments.nodes;
  script.ranks_per_node = job.ranks_per_node;
  script.cores_per_rank = job.threads;
  script.memory_per_node = job.memory_per_node;
  script.seconds = limit;
  script.seconds_to_stop = seconds_to_stop(job, limit);
  script.most_restarts = arguments.no_requeue ? 0 : 10 + 3 * expected_restarts(job, limit);
  script.partition = arguments.partition;
  script.account = arguments.account;
  script.program = std::filesystem::read_symlink("/proc/self/exe").string();
  script.command = {"run", as_operand(arguments.sweep.file), "-o", as_operand(output_of(arguments))};
  script.command.insert(script.command.end(), arguments.given.begin(), arguments.given.end());
  return script;
}

void tell(const SubmitArguments& arguments, const Job& job, double limit,
          const std::vector<std::string>& notes) {
  const experiment::Plan& plan = job.candidate.plan;
  fmt::print(stderr, "{} points on {} x {} ranks of {} threads: {} pipelines of {} stages\n", job.points,
             arguments.nodes, job.ranks_per_node, job.threads, plan.layout.groups(), plan.layout.stages);
  fmt::print(stderr, "about {} on cores like these, {} of memory per node, a result file of {}\n",
             readable_seconds(job.candidate.forecast.seconds), readable_bytes(job.memory_per_node),
             readable_bytes(job.file_bytes));
  for (const std::string& note : notes) fmt::print(stderr, "note: {}\n", note);
  if (arguments.cores_per_node == 0) {
    fmt::print(stderr,
               "note: taken for granted that a node has {} cores, as this machine; see --cores-per-node\n",
               job.ranks_per_node * job.threads);
  }
  const int restarts = expected_restarts(job, limit);
  if (restarts == 0) return;
  fmt::print(
      stderr, "note: this does not fit into {}: {}\n", readable_seconds(limit),
      arguments.no_requeue
          ? fmt::format("submit the same command about {} times more", restarts)
          : fmt::format("the job will be put back into the queue about {} times, and goes on each time",
                        restarts));
}

/// MPI leaves variables behind that would make the job's ranks look for this process.
std::vector<char*> without_mpi(char** environment) {
  std::vector<char*> kept;
  for (; *environment != nullptr; ++environment) {
    const std::string_view variable(*environment);
    const bool of_mpi = std::ranges::any_of(
        std::array{"OMPI_COMM_", "OMPI_UNIVERSE", "OMPI_MCA_orte_", "OMPI_MCA_ess", "OMPI_APP_CTX",
                   "OMPI_FIRST_RANKS", "OMPI_NUM_APP", "OMPI_FILE", "PMIX_", "ORTE_"},
        [&](const char* prefix) { return variable.starts_with(prefix); });
    if (!of_mpi) kept.push_back(*environment);
  }
  kept.push_back(nullptr);
  return kept;
}

std::optional<std::string> on_path(const char* name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    const std::filesystem::path program = std::filesystem::path(folder) / name;
    if (access(program.c_str(), X_OK) == 0) return program.string();
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
  }
  return {};
}

/// Gives sbatch the script as a file, since it starts no job from an input that has no end.
class ScriptFile {
 public:
  explicit ScriptFile(const std::string& text) : file_(std::tmpfile()) {
    if (file_ == nullptr || std::fwrite(text.data(), 1, text.size(), file_) != text.size() ||
        std::fflush(file_) != 0 || std::fseek(file_, 0, SEEK_SET) != 0) {
      throw Error(fmt::format("cannot write the batch script: {}", std::strerror(errno)));
    }
  }
  ScriptFile(const ScriptFile&) = delete;
  ScriptFile& operator=(const ScriptFile&) = delete;
  ~ScriptFile() {
    if (file_ != nullptr) std::fclose(file_);
  }
  int descriptor() const { return fileno(file_); }

 private:
  std::FILE* file_;
};

/// Exit status of `sbatch` with the script on its standard input; what it says goes to the user.
int hand_in(const std::string& text) {
  const std::optional<std::string> sbatch = on_path("sbatch");
  if (!sbatch) {
    throw UserError(
        "there is no sbatch on the PATH, so no Slurm to submit to; log in to the cluster, or see "
        "the script with --dry-run");
  }
  const ScriptFile script(text);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, script.descriptor(), STDIN_FILENO);
  std::string name = "sbatch";
  std::array<char*, 2> words{name.data(), nullptr};
  std::vector<char*> environment = without_mpi(environ);
  pid_t child = 0;
  const int failure =
      posix_spawn(&child, sbatch->c_str(), &actions, nullptr, words.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) throw Error(fmt::format("cannot start {}: {}", *sbatch, std::strerror(failure)));
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw Error(fmt::format("sbatch: {}", std::strerror(errno)));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

void require_plain(const char* option, const std::string& name) {
  if (name.empty() || is_plain_name(name)) return;
  throw UserError(
      fmt::format("{}: expected a name of letters, digits and _ - . , : = @ +, as Slurm has it", option));
}

int submit(const mpi::Communicator& world, const SubmitArguments& arguments) {
  require_plain("--partition", arguments.partition);
  require_plain("--account", arguments.account);
  const double limit = seconds_of(arguments.time, "--time");
  if (limit < 60) {
    throw UserError(
        fmt::format("--time: read \"{}\"; Slurm counts whole minutes: expected at least 1m", arguments.time));
  }
  const sweep::Sweep sweep = read_sweep(world, arguments.sweep);
  const experiment::Request request = arguments.sweep.request(world);
  const int cores = arguments.cores_per_node > 0 ? arguments.cores_per_node
                                                 : int(std::max(1u, std::thread::hardware_concurrency()));
  if (arguments.ranks_per_node > cores) {
    throw UserError(fmt::format("--ranks-per-node {}: a node has {} cores; see --cores-per-node",
                                arguments.ranks_per_node, cores));
  }

  int status = Exit::complete;
  mpi::on_root(world, [&] {
    std::vector<std::string> notes;
    const Job job = predicted(sweep, arguments, request, cores, notes);
    require_possible(job, limit, arguments.time);
    const std::string text = text_of(script_of(arguments, job, limit));
    if (!arguments.dry_run && !on_path("sbatch")) hand_in(text);  // says so, before anything else
    tell(arguments, job, limit, notes);
    if (arguments.dry_run) {
      fmt::print("{}", text);
    } else {
      status = hand_in(text) == 0 ? Exit::complete : Exit::failed;
    }
  });
  return world.broadcast(status);
}

/// The options of the sweep as they were given, for `run`.
std::vector<std::string> given_to_the_sweep(const CLI::App& command) {
  std::vector<std::string> words;
  for (const char* name :
       {"--set", "--stages", "--microbatches", "--threads", "--bundle", "--schedule", "--memory"}) {
    for (const std::string& value : command.get_option(name)->results()) {
      words.insert(words.end(), {name, value});
    }
  }
  return words;
}

}  // namespace

void add_submit(CLI::App& program, Chosen& chosen) {
  const auto arguments = std::make_shared<SubmitArguments>();
  CLI::App* command = program.add_subcommand(
      "submit",
      "Writes a batch script for Slurm from what `plan` predicts (ranks, threads, memory, time) and gives it "
      "to\n"
      "sbatch. A job that runs out of time is asked to stop, put back into the queue, and goes on where it\n"
      "stopped. Prediction and layout are those of this machine's cores.");
  arguments->sweep.add_to(*command);
  command
      ->add_option("-o,--output", arguments->output, "the result file; default: the sweep's name, .h5, here")
      ->type_name("FILE.h5");
  command->add_option("--nodes", arguments->nodes, "nodes of the job")
      ->required()
      ->check(CLI::Range(1, 100'000));
  command
      ->add_option("--time", arguments->time,
                   "the job's time limit: 4h, 90m; longer work takes several turns")
      ->required()
      ->type_name("TIME");
  command
      ->add_option("--cores-per-node", arguments->cores_per_node, "cores of a node; default: as this machine")
      ->check(CLI::Range(1, 10'000));
  command
      ->add_option("--ranks-per-node", arguments->ranks_per_node,
                   "default: the number predicted to be fastest")
      ->check(CLI::Range(1, 10'000));
  command->add_option("--partition", arguments->partition, "Slurm's partition; default: the site's");
  command->add_option("--account", arguments->account, "Slurm's account; default: yours");
  command->add_flag("--no-requeue", arguments->no_requeue, "a job that runs out of time is not put back");
  command->add_flag("--dry-run", arguments->dry_run, "print the script instead");
  command->callback([=, &chosen] {
    arguments->given = given_to_the_sweep(*command);
    chosen.tried_before = {[=] { return reading_of(arguments->sweep.file, arguments->sweep.overrides); }};
    chosen.command = [=](const mpi::Communicator& world) { return submit(world, *arguments); };
  });
}

}  // namespace gradflow::apps
