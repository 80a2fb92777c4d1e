#include <sstream>

#include <fmt/format.h>

#include "section.hpp"

namespace gradflow::bench {
namespace {

Round run_ranks(const Settings& settings, int ranks, const std::string& kind) {
  std::istringstream answer(
      settings.launcher.output_of_ranks(ranks, {sibling("gradflow_bench"), "--as-rank", kind}));
  Round round;
  answer >> round["measured"] >> round["simulated"];
  return round;
}

void measure(const Settings& settings, int ranks, const std::string& kind, Table& table) {
  const Rounds rounds(settings.repeats, [&] { return run_ranks(settings, ranks, kind); });
  const std::string what = fmt::format("{} stages, {}", ranks, kind == "work" ? "real work" : "sleeps");
  table.add(what, "makespan", rounds.of("measured"), "s");
  table.add(what, "simulated over measured makespan",
            rounds.of([](const Round& round) { return round.at("simulated") / round.at("measured"); }), "1",
            "0.95 to 1.05");
}

}  // namespace

void measure_makespan(const mpi::Communicator&, const Settings& settings, Table& table) {
  measure(settings, 2, "work", table);
  measure(settings, 3, "sleep", table);
  measure(settings, 4, "sleep", table);
}

}  // namespace gradflow::bench
