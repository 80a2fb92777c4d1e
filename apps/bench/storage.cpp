#include <filesystem>

#include <fmt/format.h>

#include "gradflow/experiment/file_schema.hpp"
#include "gradflow/experiment/schema.hpp"
#include "gradflow/store/result_store.hpp"
#include "section.hpp"

namespace gradflow::bench {
namespace {

sweep::Sweep sweep_of(int points, int depth) {
  const std::string text = fmt::format(
      "[network]\ndepth = {}\nwidth = 64\n[sweep]\nseed = {{ range = [0, {}] }}\n", depth, points);
  return sweep::Sweep::parse(text, "(bench)", experiment::sweep_schema());
}

/// Seconds from the first point to the last commit, into a new file with every standard statistic.
double store_points(const mpi::Communicator& world, const sweep::Sweep& sweep, int depth,
                    const std::filesystem::path& file) {
  const experiment::Row row(sweep);
  const store::FileSchema schema = experiment::file_schema(sweep, row);
  store::ResultStore store = store::ResultStore::open(world, world, file, schema);
  stats::PointTable measured(row.columns(), 0, depth);
  std::ranges::fill(measured.all(), 1.0);
  const double seconds = seconds_of([&] {
    for (std::uint64_t point = 0; point < sweep.size(); ++point) {
      store.add(point, stats::PointTable(measured), {});
      store.progress();
    }
    store.finish();
  });
  store.close();
  std::filesystem::remove(file);
  std::filesystem::remove(file.string() + ".lock");
  return seconds;
}

void measure(const mpi::Communicator& world, const Settings& settings, int points, int depth, Table& table) {
  const sweep::Sweep sweep = sweep_of(points, depth);
  const Rounds rounds(settings.repeats, [&] {
    return Round{{"seconds", store_points(world, sweep, depth, settings.folder / "bench-store.h5")}};
  });
  const double bytes =
      experiment::predicted_file_bytes(experiment::file_schema(sweep, experiment::Row(sweep)));
  const std::string what = fmt::format("{} points of {} layers, {:.3g} MB", points, depth, bytes / 1e6);
  const auto per_second = [&](double amount) {
    return rounds.of([=](const Round& round) { return amount / round.at("seconds"); });
  };
  table.add(what, "points committed per second", per_second(points), "1/s");
  table.add(what, "bytes committed per second", per_second(bytes / 1e6), "MB/s");
}

}  // namespace

void measure_store(const mpi::Communicator& world, const Settings& settings, Table& table) {
  measure(world, settings, 64, 100, table);
  measure(world, settings, 1024, 100, table);
  measure(world, settings, 16384, 10, table);
  measure(world, settings, 1024, 1000, table);
}

}  // namespace gradflow::bench
