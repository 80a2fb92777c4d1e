#include <algorithm>

#include <fmt/format.h>

#include "gemm_rates.hpp"
#include "section.hpp"
#include "workload.hpp"

namespace gradflow::bench {
namespace {

/// Ways to bundle the same points, and what the project wants of each.
struct Case {
  struct Bundling {
    int points;
    std::string nominal_goal;
    std::string executed_goal;
    std::string gain_goal;
  };
  Workload work;
  std::vector<Bundling> bundlings;
};

std::vector<Case> cases() {
  return {
      {{.width = 512, .batch = 256, .depth = 200}, {{1, "at least 0.75", "at least 0.75", ""}}},
      {{.width = 128, .batch = 64, .depth = 1000, .points = 8},
       {{1, "at least 0.50", "", ""}, {8, "at least 0.80", "", ""}}},
      {{.width = 256, .batch = 32, .depth = 200, .points = 16},
       {{1, "", "", ""}, {8, "", "", ""}, {16, "at least 0.80", "", ""}}},
      {{.width = 512, .batch = 64, .depth = 6, .points = 16, .scheme = "orthogonal"},
       {{1, "", "", ""}, {16, "", "", "at least 6"}}},
  };
}

/// Rows of the product a bundle is compared with: more than 512 make sgemm no faster.
int reference_rows(const Workload& work, int bundle) {
  return std::min(512, padded_rows(work.batch) * bundle);
}

std::string label(int bundle) { return bundle == 1 ? "one by one" : fmt::format("in bundles of {}", bundle); }

void measure(const mpi::Communicator& world, const Settings& settings, const Case& one, Table& table) {
  const Workload& work = one.work;
  std::map<int, GemmShape> shapes;
  for (const Case::Bundling& bundling : one.bundlings) {
    const int rows = reference_rows(work, bundling.points);
    shapes.try_emplace(rows, rows, work.width);
  }
  const auto seconds = [](int bundle) { return fmt::format("seconds {}", bundle); };
  const auto rate = [](int rows) { return fmt::format("rate {}", rows); };

  const Rounds rounds(settings.repeats, [&] {
    Round round;
    for (auto& [rows, shape] : shapes) round[rate(rows)] = shape.all_cores().sgemm();
    for (const Case::Bundling& bundling : one.bundlings) {
      round[seconds(bundling.points)] = run(world, work.bundles_of(bundling.points));
    }
    return round;
  });

  for (const Case::Bundling& bundling : one.bundlings) {
    const std::string how = label(bundling.points);
    const std::string time = seconds(bundling.points);
    const std::string limit = rate(reference_rows(work, bundling.points));
    const auto fraction = [&](double operations) {
      return rounds.of([=](const Round& round) { return operations / round.at(time) / round.at(limit); });
    };
    table.add(work.name(), how + ": time per point",
              rounds.of([&](const Round& round) { return round.at(time) / work.points; }), "s");
    table.add(work.name(), how + ": nominal flops over sgemm", fraction(work.nominal_operations()), "1",
              bundling.nominal_goal);
    table.add(work.name(), how + ": executed flops over sgemm", fraction(work.executed_operations()), "1",
              bundling.executed_goal);
    if (bundling.points == 1) continue;
    table.add(work.name(), how + ": times faster than one by one",
              rounds.of([&](const Round& round) { return round.at(seconds(1)) / round.at(time); }), "1",
              bundling.gain_goal);
  }
}

}  // namespace

void measure_points(const mpi::Communicator& world, const Settings& settings, Table& table) {
  for (const Case& one : cases()) measure(world, settings, one, table);
}

}  // namespace gradflow::bench
