#include <fmt/format.h>

#include "section.hpp"
#include "sweep_run.hpp"

namespace gradflow::bench {
namespace {

/// Equal points that share no weights, so that none of them are stacked.
std::string sweep_of(int points) {
  return fmt::format(
      "[network]\nwidth = 256\ndepth = 128\n[data]\nbatch = 128\n[sweep]\nseed = {{ range = [0, {}] }}\n",
      points);
}

void measure(const Settings& settings, int cores, Table& table) {
  constexpr int points = 32;
  const std::string whole = sweep_of(points);
  const Rounds rounds(settings.repeats, [&] {
    return Round{{"one core", run_sweep(settings, whole, {})},
                 {"one core's share", run_sweep(settings, sweep_of(points / cores), {})},
                 {"threads", run_sweep(settings, whole, {.threads = cores})},
                 {"groups", run_sweep(settings, whole, {.ranks = cores})},
                 {"stages", run_sweep(settings, whole, {.ranks = cores, .stages = cores})}};
  });
  const auto ratio = [&](const std::string& slow, const std::string& fast) {
    return rounds.of([&](const Round& round) { return round.at(slow) / round.at(fast); });
  };
  const std::string what = fmt::format("N = 256, batch 128, depth 128, {} seeds", points);
  table.add(what, "one core", rounds.of("one core"), "s");
  for (const char* way : {"threads", "groups", "stages"}) {
    table.add(what, fmt::format("strong: {} {} over one core", cores, way), ratio("one core", way), "1");
    table.add(what, fmt::format("weak: {} {}, work per core constant", cores, way),
              ratio("one core's share", way), "1");
  }
  table.add(what, fmt::format("{0} stages over {0} threads, streamed", cores), ratio("threads", "stages"),
            "1", "at least 0.95");
}

}  // namespace

void measure_scaling(const mpi::Communicator&, const Settings& settings, Table& table) {
  for (int cores = 2; cores <= settings.threads; cores *= 2) measure(settings, cores, table);
}

}  // namespace gradflow::bench
