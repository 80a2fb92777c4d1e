#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "blas_kernels.hpp"
#include "gradflow/core/blas.hpp"
#include "gradflow/core/catalogue.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/core/memory.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/experiment/identity.hpp"
#include "gradflow/mpi/environment.hpp"
#include "rank_program.hpp"
#include "section.hpp"

namespace gradflow::bench {
namespace {

constexpr const char* about =
    "Measures how close gradflow is to the limit of this machine, and prints one table. Start it alone, on a "
    "quiet\n"
    "machine: it starts mpirun itself. Every figure is the median of alternating rounds; goals are printed, "
    "never\n"
    "asserted.";

struct Arguments {
  std::vector<std::string> only;
  bool pytorch = false;
  std::string json;
  std::string folder = std::filesystem::temp_directory_path();
  std::string as_rank;
  Settings settings;
};

std::string list_of_sections() {
  std::string list;
  for (const Section& section : sections()) list += fmt::format("  {:<12} {}\n", section.name, section.doc);
  return "Sections:\n" + list;
}

void add_options(CLI::App& program, Arguments& arguments) {
  Settings& settings = arguments.settings;
  program.add_option("--only", arguments.only, "sections to measure, separated by commas")->delimiter(',');
  program.add_flag("--pytorch", arguments.pytorch, "measure PyTorch beside gradflow, too");
  program.add_option("--python", settings.python, "a Python that has torch")->capture_default_str();
  program.add_option("--repeats", settings.repeats, "rounds")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  program.add_option("--threads", settings.threads, "cores measured together")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  program.add_option("--json", arguments.json, "also write every figure to this file")->type_name("FILE");
  program.add_option("--folder", arguments.folder, "folder for scratch files")->capture_default_str();
  program.add_option("--as-rank", arguments.as_rank, "what the bench starts under mpirun")->group("");
  program.footer(list_of_sections());
}

/// @throws UserError for an unknown name
std::vector<const Section*> chosen(const Arguments& arguments) {
  std::set<const Section*> wanted;  // in the order of the catalogue
  for (const std::string& name : arguments.only) wanted.insert(&find(sections(), "section", name));
  for (const Section& section : sections()) {
    const bool asked_for = section.name == "pytorch" && arguments.pytorch;
    if (asked_for || (arguments.only.empty() && section.by_default)) wanted.insert(&section);
  }
  return {wanted.begin(), wanted.end()};
}

double load_average() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : 0;
}

nlohmann::json machine(const Settings& settings) {
  nlohmann::json json{{"numerics", experiment::numerics_identity().text()},
                      {"threads", settings.threads},
                      {"repeats", settings.repeats},
                      {"load_average", load_average()}};
  for (const auto& [name, version] : experiment::versions()) json["versions"][name] = version;
  return json;
}

void print_machine(const Settings& settings) {
  fmt::print("{}\n{} cores, {} rounds, load average {:.1f} at the start\n",
             experiment::numerics_identity().text(), settings.threads, settings.repeats, load_average());
}

/// A folder of our own, removed with all that is in it.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::filesystem::path& parent)
      : path_(parent / fmt::format("gradflow-bench-{}", getpid())) {
    std::filesystem::create_directories(path_);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

void measure(const mpi::Communicator& world, Arguments& arguments) {
  const std::vector<const Section*> wanted = chosen(arguments);
  if (world.size() > 1) throw UserError("gradflow_bench was started as several ranks; start it alone");
  const ScratchFolder folder(arguments.folder);
  arguments.settings.folder = folder.path();

  std::ofstream json;
  if (!arguments.json.empty()) json.open(arguments.json);
  if (!arguments.json.empty() && !json) {
    throw UserError(
        fmt::format("--json: cannot write \"{}\"; expected a file in a folder that exists", arguments.json));
  }

  print_machine(arguments.settings);
  const nlohmann::json where = machine(arguments.settings);
  Table table;
  for (const Section* section : wanted) {
    table.begin(std::string(section->name), std::string(section->doc));
    section->measure(world, arguments.settings, table);
  }
  if (json.is_open()) json << nlohmann::json{{"machine", where}, {"figures", table.json()}}.dump(2) << '\n';
}

int main(int argc, char** argv) {
  Arguments arguments;  // the environment is remembered here, before MPI adds to it
  arguments.settings.threads = usable_threads();
  CLI::App program(about, "gradflow_bench");
  add_options(program, arguments);
  CLI11_PARSE(program, argc, argv);

  try {
    mpi::Environment environment(argc, argv);
    try {
      require_thread_safe_blas();
      const mpi::Communicator world = mpi::Communicator::world();
      const bool rank_of_a_section = !arguments.as_rank.empty();
      Threads threads(rank_of_a_section ? 1 : arguments.settings.threads);
      threads.run(
          [&] { rank_of_a_section ? run_as_rank(world, arguments.as_rank) : measure(world, arguments); });
      return 0;
    } catch (const UserError& error) {
      fmt::print(stderr, "gradflow_bench: {}\n", error.what());
      return 2;
    } catch (const std::exception& error) {
      fmt::print(stderr, "gradflow_bench: {}\n", error.what());
      mpi::abort(1);
    }
  } catch (const UserError& error) {
    fmt::print(stderr, "gradflow_bench: {}\n", error.what());
    return 2;
  }
}

}  // namespace
}  // namespace gradflow::bench

int main(int argc, char** argv) {
  gradflow::apps::choose_blas_kernels(argv);
  gradflow::keep_freed_memory();  // as the program does
  return gradflow::bench::main(argc, argv);
}
