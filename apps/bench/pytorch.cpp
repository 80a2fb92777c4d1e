#include <algorithm>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "section.hpp"
#include "sweep_run.hpp"

namespace gradflow::bench {
namespace {

struct Peer {
  int width;
  int batch;
  int depth;
  std::string goal;
};

/// From the critical point on, where PyTorch meets no subnormal numbers.
std::vector<double> sigmas() {
  std::vector<double> values;
  for (int i = 0; i < 16; ++i) values.push_back(1 + 0.05 * i);
  return values;
}

double gradflow_seconds(const Settings& settings, const Peer& peer) {
  const std::string sweep = fmt::format(
      "seed = 1\n[network]\nwidth = {}\ndepth = {}\nactivation = \"tanh\"\n[data]\nbatch = {}\n[sweep]\n"
      "init.sigma_w = [{}]\n",
      peer.width, peer.depth, peer.batch, fmt::join(sigmas(), ", "));
  return run_sweep(settings, sweep, {.threads = settings.threads}) / double(sigmas().size());
}

/// Four of the sixteen values: every point costs PyTorch the same.
double pytorch_seconds(const Settings& settings, const Peer& peer, int thread_count) {
  const std::string threads = std::to_string(thread_count);
  std::vector<std::string> command{settings.python, GRADFLOW_PYTORCH_PEER,
                                   "--width",       std::to_string(peer.width),
                                   "--batch",       std::to_string(peer.batch),
                                   "--depth",       std::to_string(peer.depth),
                                   "--threads",     threads,
                                   "--sigma-w"};
  for (std::size_t i = 0; i < sigmas().size(); i += 5) command.push_back(fmt::format("{}", sigmas()[i]));
  const Launcher launcher =
      settings.launcher.with("OPENBLAS_NUM_THREADS", threads).with("OMP_NUM_THREADS", threads);
  return std::stod(launcher.output_of(command));
}

/// PyTorch gets the number of threads that suits it better: small layers are slower on two cores than on one.
double best_of_pytorch(const Round& round) {
  return std::min(round.at("one thread"), round.at("all threads"));
}

}  // namespace

void measure_pytorch(const mpi::Communicator&, const Settings& settings, Table& table) {
  for (const Peer& peer : {Peer{512, 256, 200, "at least 6"}, Peer{128, 64, 1000, "at least 15"}}) {
    const Rounds rounds(settings.repeats, [&] {
      return Round{{"gradflow", gradflow_seconds(settings, peer)},
                   {"one thread", pytorch_seconds(settings, peer, 1)},
                   {"all threads", pytorch_seconds(settings, peer, settings.threads)}};
    });
    const std::string what =
        fmt::format("N = {}, batch {}, depth {}, 16 sigma_w", peer.width, peer.batch, peer.depth);
    table.add(what, fmt::format("gradflow run, {} threads, per point", settings.threads),
              rounds.of("gradflow"), "s");
    table.add(what, "PyTorch, 1 thread, per point", rounds.of("one thread"), "s");
    table.add(what, fmt::format("PyTorch, {} threads, per point", settings.threads), rounds.of("all threads"),
              "s");
    table.add(what, "gradflow over the faster PyTorch",
              rounds.of([](const Round& round) { return best_of_pytorch(round) / round.at("gradflow"); }),
              "1", peer.goal);
  }
}

}  // namespace gradflow::bench
