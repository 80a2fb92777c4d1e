#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "commands.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/experiment/identity.hpp"
#include "gradflow/experiment/run.hpp"
#include "gradflow/experiment/schema.hpp"
#include "gradflow/hdf5/dataset.hpp"
#include "gradflow/hdf5/file.hpp"
#include "gradflow/mpi/agreement.hpp"
#include "gradflow/store/lock_file.hpp"
#include "gradflow/store/result_file.hpp"

namespace gradflow::apps {
namespace {

/// Orthogonal linear layers keep every norm: an answer known without theory, through every floor of the
/// program.
constexpr const char* known_sweep = R"(
title = "gradflow check"
seed = 1
[network]
depth = 24
width = 96
activation = "linear"
[init]
scheme = "orthogonal"
[data]
batch = 40
[run]
precision = "float64"
)";

constexpr double rounding = 1e-12;
constexpr double infinite = std::numeric_limits<double>::infinity();

/// Largest change of a norm over the layers, as log10; infinite if a norm is no number. Rounding alone: 24
/// products of length 96 in float64.
double largest_drift(const store::ResultFile& file) {
  double drift = 0;
  for (const char* name : {"preact_log10_norm_mean", "dgrad_log10_norm_mean"}) {
    const std::vector<double> norms = file.read(name, 0);
    for (const double norm : norms) {
      const double change = std::abs(norm - norms.front());
      drift = std::isnan(change) ? infinite : std::max(drift, change);
      if (std::isinf(drift)) return drift;
    }
  }
  return drift;
}

/// Removes a file in the end, however that comes.
class Removal {
 public:
  explicit Removal(std::filesystem::path file) : file_(std::move(file)) {}
  Removal(const Removal&) = delete;
  Removal& operator=(const Removal&) = delete;
  ~Removal() {
    std::error_code ignored;
    std::filesystem::remove(file_, ignored);
  }

 private:
  std::filesystem::path file_;
};

void print_machine(int ranks, int ranks_here) {
  for (const auto& [name, version] : experiment::versions()) fmt::print("  {:<18} {}\n", name, version);
  fmt::print("  {:<18} pthread, one thread per call\n", "BLAS build");  // any other was refused at the start
  fmt::print("  {:<18} {}\n", "numerics", experiment::numerics_identity().text());
  fmt::print("  {:<18} {} ranks, {} on this host\n", "MPI", ranks, ranks_here);
}

/// What each rank may use, one line per rank. @collective
void print_binding(const mpi::Communicator& world) {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  const std::vector<std::string> lines =
      world.gather(fmt::format("rank {:<6} {}: {} CPUs in its mask", world.rank(), host, usable_threads()));
  for (const std::string& line : lines) fmt::print("  {}\n", line);
}

constexpr std::uint64_t tried_values = std::uint64_t(1) << 17;  ///< of each rank, 1 MiB

std::vector<double> pattern_of(int rank) {
  std::vector<double> values(tried_values);
  for (std::uint64_t i = 0; i < tried_values; ++i) values[i] = rank + double(i) / double(tried_values);
  return values;
}

hdf5::Slab row_of(int rank) { return {{hsize_t(rank), 0}, {1, tried_values}}; }

/// Every rank writes a row of one shared file, all at once, closes it, opens it again and reads the row of
/// its neighbour. Whether each found what the other wrote. @collective
bool reads_what_others_wrote(const mpi::Communicator& world, const std::filesystem::path& path) {
  mpi::on_root(world, [&] {
    hdf5::File file = hdf5::File::create(path);
    hdf5::Dataset::create<double>(file, "rows", {hsize_t(world.size()), tried_values}, hdf5::Space::unfilled)
        .close();
    file.close();
  });
  const auto with_rows = [&](const auto& act) {
    mpi::on_each(world, [&] {
      hdf5::File file = hdf5::File::open_shared(path, world);
      hdf5::Dataset rows = hdf5::Dataset::open(file, "rows");
      act(rows);
      rows.close();
      file.close();
    });
  };
  with_rows([&](hdf5::Dataset& rows) { rows.write<double>(row_of(world.rank()), pattern_of(world.rank())); });
  const int neighbour = (world.rank() + 1) % world.size();
  bool equal = false;
  with_rows(
      [&](hdf5::Dataset& rows) { equal = rows.read<double>(row_of(neighbour)) == pattern_of(neighbour); });
  return world.all_agree(equal);
}

/// Whether the file system of a folder keeps a second writer out. @collective
bool keeps_locks(const mpi::Communicator& world, const std::filesystem::path& path) {
  bool kept = true;
  mpi::on_root(world, [&] {
    const store::LockFile lock = store::LockFile::acquire(path);
    const pid_t other = fork();
    if (other == 0) _exit(store::LockFile::holder_of(path) ? 0 : 1);
    int status = 1;
    kept = other > 0 && waitpid(other, &status, 0) == other && status == 0;
  });
  return world.broadcast(kept);
}

/// Infinite if the point was not measured. @collective
double measured_drift(const mpi::Communicator& world, const std::filesystem::path& file) {
  const sweep::Sweep sweep = sweep::Sweep::parse(known_sweep, "(built in)", experiment::sweep_schema());
  experiment::Request request;
  request.stages = std::min(world.size(), 24);
  const experiment::Plan plan = experiment::make_plan(sweep, request, world.size(), threads_per_rank(world));
  experiment::RunOptions options;
  options.output = file;
  experiment::Outcome outcome;
  Threads(plan.threads).run([&] { outcome = experiment::run(world, sweep, plan, options); });
  if (outcome.done != 1) return infinite;

  double drift = infinite;
  mpi::on_root(world, [&] { drift = largest_drift(store::ResultFile::open(file)); });
  return world.broadcast(drift);
}

void require_folder(const std::filesystem::path& folder) {
  std::error_code unknown;
  if (std::filesystem::is_directory(folder, unknown)) return;
  throw UserError(
      fmt::format("{}: expected a folder that exists, to write a small file in", folder.string()));
}

int check(const mpi::Communicator& world, const std::filesystem::path& folder) {
  mpi::on_root(world, [&] { require_folder(folder); });
  const int ranks_here = world.ranks_on_this_host();
  if (world.rank() == 0) print_machine(world.size(), ranks_here);
  print_binding(world);

  const std::filesystem::path file =
      folder / world.broadcast(fmt::format("gradflow-check-{}.h5", world.rank() == 0 ? getpid() : 0));
  const std::filesystem::path shared = file.string() + ".rows";
  std::optional<Removal> removal, removal_of_shared;
  if (world.rank() == 0) {
    removal.emplace(file);
    removal_of_shared.emplace(shared);
  }
  const bool shares = reads_what_others_wrote(world, shared);
  const bool locks = keeps_locks(world, file);
  const double drift = measured_drift(world, file);
  if (world.rank() == 0) {
    fmt::print("  {:<18} {} ranks wrote and read each other's rows in {}: {}\n", "parallel HDF5",
               world.size(), folder.string(), shares ? "right" : "WRONG");
    fmt::print("  {:<18} a second writer is {}\n", "locks", locks ? "kept out" : "NOT kept out");
    fmt::print("  {:<18} orthogonal linear layers keep norms to {:.1e} (allowed {:.0e}): {}\n",
               "known answer", drift, rounding, drift < rounding ? "right" : "WRONG");
  }
  return drift < rounding && shares && locks ? Exit::complete : Exit::failed;
}

}  // namespace

void add_check(CLI::App& program, Chosen& chosen) {
  const auto folder = std::make_shared<std::string>(".");
  CLI::App* command = program.add_subcommand(
      "check",
      "Tries this machine: MPI, parallel HDF5 in a folder, BLAS build, threads and binding, a known answer.");
  command->add_option("DIR", *folder, "folder to write a small file in")->capture_default_str();
  command->callback([folder, &chosen] {
    chosen.command = [folder](const mpi::Communicator& world) { return check(world, *folder); };
  });
}

}  // namespace gradflow::apps
