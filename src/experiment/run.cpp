#include "gradflow/experiment/run.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <sys/stat.h>
#include <unistd.h>
#include <variant>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "bundle_queue.hpp"
#include "gradflow/core/hash.hpp"
#include "gradflow/experiment/cost_cache.hpp"
#include "gradflow/experiment/file_schema.hpp"
#include "gradflow/experiment/forecast.hpp"
#include "gradflow/experiment/identity.hpp"
#include "gradflow/experiment/input_files.hpp"
#include "gradflow/experiment/memory.hpp"
#include "gradflow/experiment/network.hpp"
#include "gradflow/mpi/agreement.hpp"
#include "gradflow/pipeline/executor.hpp"
#include "gradflow/pipeline/trace.hpp"
#include "gradflow/store/link.hpp"
#include "gradflow/store/result_store.hpp"
#include "pace.hpp"
#include "point_costs.hpp"
#include "progress.hpp"
#include "sample.hpp"

namespace gradflow::experiment {
namespace {

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

std::string job_id() {
  const char* id = std::getenv("SLURM_JOB_ID");
  return id ? id : "";
}

/// What the ranks say, each text once, on rank 0. @collective
std::set<std::string> distinct(const mpi::Communicator& world, const std::string& mine) {
  const std::vector<std::string> texts = world.gather(mine);
  return {texts.begin(), texts.end()};
}

/// Every rank's numerics, checked to be equal: their identity, or that they are mixed. @collective
std::string common_numerics(const mpi::Communicator& world, bool allow_mixed) {
  const NumericsIdentity mine = numerics_identity();
  const std::string text = mine.text();
  if (world.all_equal(xxh64(text))) return text;
  if (allow_mixed) return store::mixed_numerics;

  const std::set<std::string> different = distinct(world, fmt::format("rank on {}: {}", host_name(), text));
  throw UserError(world.broadcast(fmt::format(
      "the ranks compute under different numerics, so their bits cannot be equal:\n  {}\n"
      "export OPENBLAS_CORETYPE={} on every node and build without -march=native, or run on equal nodes, or "
      "accept it with --allow-mixed-numerics",
      fmt::join(different, "\n  "), mine.openblas_core)));
}

/// What this launch leaves in the file. @collective
std::map<std::string, std::string> launch_facts(const mpi::Communicator& world) {
  const std::set<std::string> hosts = distinct(world, host_name());
  const std::set<std::string> numerics = distinct(world, numerics_identity().text());
  return {{"launch_start", fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)))},
          {"launch_hosts", fmt::format("{}", fmt::join(hosts, " "))},
          {"launch_ranks", std::to_string(world.size())},
          {"launch_job", job_id()},
          {"launch_numerics", fmt::format("{}", fmt::join(numerics, " | "))}};
}

/// Points of one run: every rank keeps a bit for each.
constexpr std::uint64_t most_points = 100'000'000;

void require_countable(const sweep::Sweep& sweep) {
  if (sweep.size() <= most_points) return;
  throw UserError(
      fmt::format("{}: the sweep has {} points; one run takes at most {}: shorten an axis, or write several "
                  "sweep files with a result file each",
                  sweep.file().string(), sweep.size(), most_points));
}

/// Bytes the file system of `file` can still take, what the file occupies already included; infinite if it
/// does not tell.
double room_for(const std::filesystem::path& file) {
  std::error_code failure;
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  const std::filesystem::space_info space = std::filesystem::space(folder, failure);
  if (failure) return std::numeric_limits<double>::infinity();
  struct stat present = {};
  const bool exists = stat(file.c_str(), &present) == 0;
  return double(space.available) + (exists ? 512.0 * double(present.st_blocks) : 0.0);
}

/// The file is sparse until points are measured, so a disk that is too small would be noticed only hours
/// later.
/// @collective
void require_room(const mpi::Communicator& world, const std::filesystem::path& file, double bytes) {
  double room = 0;
  mpi::on_root(world, [&] { room = room_for(store::followed(file)); });
  room = world.broadcast(room);
  if (bytes <= room) return;
  constexpr double gib = 1 << 30;
  throw UserError(fmt::format(
      "{} would take {:.4g} GiB, but there is room for {:.4g} GiB; write it elsewhere, store fewer "
      "layers (statistics.layers) or statistics (statistics.preset), or shorten an axis",
      file.string(), bytes / gib, room / gib));
}

pipeline::Share share_of(const sweep::Sweep& sweep, const pipeline::Layout& layout, int group) {
  const auto points = std::int64_t(sweep.size());
  PointCosts costs(sweep);
  if (!costs.differ()) return pipeline::share_of(layout, group, points);
  return pipeline::share_of(layout, group, points,
                            [&](pipeline::PointBlock block) { return costs.of(block); });
}

/// A bit for each point; none if the shard is everything.
std::vector<bool> points_of(const sweep::Sweep& sweep, Shard shard) {
  if (shard.of == 1) return {};
  std::vector<bool> points(sweep.size(), false);
  const pipeline::Share share = share_of(sweep, pipeline::Layout::of(shard.of, 1), shard.number - 1);
  for (std::int64_t i = 0; i < share.blocks(); ++i) {
    const pipeline::PointBlock block = share.block(i);
    std::fill(points.begin() + block.first, points.begin() + block.end, true);
  }
  return points;
}

double seconds_of_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The layer with the most weights, the first of them.
int largest_layer(const nn::NetworkSpec& network) {
  const auto weights = [&](int layer) {
    return double(network.widths.fan_in(layer)) * network.widths.fan_out(layer);
  };
  int largest = 1;
  for (int layer = 2; layer <= network.depth(); ++layer) {
    if (weights(layer) > weights(largest)) largest = layer;
  }
  return largest;
}

double cost_of(const nn::Bundle& bundle) {
  const std::vector<double> layers = layer_costs(bundle);
  return std::accumulate(layers.begin(), layers.end(), 0.0);
}

/// What a bundle takes per unit of its cost, before any has been measured: its time in a pipeline that is
/// full, once for each stage. Rank 0 knows and tells. @collective
double forecast_seconds_per_cost(const mpi::Communicator& world, const sweep::Sweep& sweep,
                                 const Plan& plan) {
  constexpr std::int64_t most_actions = 100'000;
  double seconds_per_cost = 0;
  mpi::on_root(world, [&] {
    std::vector<std::string> notes;
    const Costs costs = costs_for(cost_kinds(sweep), false, notes);
    const double seconds = Forecaster(sweep, costs, Link{}).of(plan, most_actions).seconds;
    double cost = 0;
    const std::vector<std::uint64_t> points = sample(sweep.size(), 100);
    for (const std::uint64_t k : points)
      cost += cost_of({network_of(sweep.point(k))}) / double(points.size());
    seconds_per_cost = seconds * plan.layout.stages / (cost * double(plan.points_per_group));
  });
  return world.broadcast(seconds_per_cost);
}

/// One group's part of the sweep: points in, rows out.
class GroupRun {
 public:
  GroupRun(const mpi::Communicator& group, const sweep::Sweep& sweep, const Row& row, const Plan& plan,
           const pipeline::Share& share, store::ResultStore& store, std::function<bool()> stop,
           std::function<void()> breathe, pipeline::Trace* trace,
           const std::optional<std::function<double()>>& seconds_left, double seconds_per_cost,
           bool some_too_large)
      : group_(group),
        sweep_(sweep),
        row_(row),
        plan_(plan),
        share_(share),
        store_(store),
        stop_(std::move(stop)),
        breathe_(std::move(breathe)),
        trace_(trace),
        seconds_left_(seconds_left),
        some_too_large_(some_too_large),
        pace_(seconds_per_cost) {}

  /// Measures the points of one precision. @collective over the group
  template <class Real>
  void measure(Precision precision) {
    BundleQueue queue(sweep_, plan_, share_, store_.unfinished(), precision);
    pipeline::Assignment<Real> assignment;
    assignment.next = [&] { return next_job(queue, precision); };
    assignment.stop = [&] { return !begins_next_job(); };
    assignment.partition = cut;
    assignment.done = [&](const pipeline::Job& job, pipeline::BlockRange,
                          std::vector<pipeline::PointResult> results) { keep(job, std::move(results)); };
    assignment.breathe = breathe_;
    assignment.trace = trace_;
    pipeline::execute<Real>(group_, *plan_.schedule, assignment);
  }

 private:
  std::optional<pipeline::Job> next_job(BundleQueue& queue, Precision precision) {
    std::optional<PointBundle> next = next_that_fits(queue, precision);
    if (!next) return {};
    if (seconds_left_) next_cost_ = cost_of(next->networks);
    pipeline::Job job;
    job.bundle = std::move(next->networks);
    job.points = std::move(next->points);
    job.microbatches = microbatches_of(plan_, job.bundle);
    job.observation = row_.observation(job.bundle);
    job.checkpointing = memory_of(job.bundle, precision, plan_, group_.size(), group_.rank()).checkpointing;
    job.parts.rows = part_rows(plan_);
    job.parts.take = [this, points = job.points](std::size_t i, stats::PointTable rows) {
      keep_part(points[i], std::move(rows));
    };
    return job;
  }

  /// Every rank of the group comes to the same answer without a message: the first stage's need counts, and
  /// it tells the file of the points that are left out. A bundle that is too large may hold points that are
  /// not.
  std::optional<PointBundle> next_that_fits(BundleQueue& queue, Precision precision) {
    std::optional<PointBundle> next = queue.next();
    while (some_too_large_ && next && is_too_large(next->networks, precision, plan_, group_.size())) {
      if (group_.rank() == 0 && stop_()) return {};  // the others hear of the end, whatever they have come to
      if (next->points.size() > 1) {
        queue.return_one_by_one(std::move(*next));
      } else if (group_.rank() == 0) {
        store_.add_failed(next->points[0],
                          {FailureCode::too_large, largest_layer(next->networks[0]), Failure::no_sample});
      }
      next = queue.next();
    }
    return next;
  }

  /// Asked on the first stage, between jobs, about the one that next_job() gave last.
  bool begins_next_job() {
    if (stop_()) return false;
    if (!seconds_left_) return true;
    if (!pace_.fits(next_cost_, (*seconds_left_)())) return false;
    pace_.begin(next_cost_, seconds_of_clock());
    return true;
  }

  void keep_part(std::uint64_t point, stats::PointTable rows) {
    const nn::NetworkSpec network = network_of(sweep_.point(point));
    auto prediction = predicted_.find(point);
    if (prediction == predicted_.end()) prediction = predicted_.emplace(point, predict(network)).first;
    row_.complete(rows, network, prediction->second);
    store_.add_part(point, std::move(rows));
  }

  void keep(const pipeline::Job& job, std::vector<pipeline::PointResult> results) {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_done_).count() / double(results.size());
    last_done_ = now;
    if (seconds_left_ && group_.rank() == 0) pace_.end(seconds_of_clock());
    if (predicted_.empty()) predictions_.learn(job.bundle);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const nn::NetworkSpec& network = job.bundle[i];
      const pipeline::Traced traced(trace_, pipeline::Activity::commit);
      const Failure failure = results[i].failure;
      const auto predicted = predicted_.extract(job.points[i]);
      const Prediction& prediction = predicted ? predicted.mapped() : predictions_.of(network);
      const double before = seconds_of_clock();
      store_.add(job.points[i], row_.table(network, std::move(results[i]), prediction, seconds), failure);
      pace_.wrote(seconds_of_clock() - before);
    }
  }

  const mpi::Communicator& group_;
  const sweep::Sweep& sweep_;
  const Row& row_;
  const Plan& plan_;
  const pipeline::Share& share_;
  store::ResultStore& store_;
  std::function<bool()> stop_;
  std::function<void()> breathe_;
  pipeline::Trace* trace_;
  const std::optional<std::function<double()>>& seconds_left_;
  bool some_too_large_;
  Pace pace_;
  double next_cost_ = 0;
  Predictions predictions_;
  std::map<std::uint64_t, Prediction> predicted_;  ///< of the points at work of which parts are written
  std::chrono::steady_clock::time_point last_done_ = std::chrono::steady_clock::now();
};

/// Events of each rank, so that rank 0 can gather those of all: 1e6, or 1000 of each of very many ranks.
std::size_t most_events(int ranks) { return std::max<std::size_t>(1000, 1'000'000 / std::size_t(ranks)); }

bool has_precision(const sweep::Sweep& sweep, const char* name) {
  if (const sweep::Value* fixed = sweep.fixed("run.precision")) return std::get<std::string>(*fixed) == name;
  return true;
}

/// What was found, and what every group has committed. @collective
Outcome outcome_of(const mpi::Communicator& world, std::uint64_t points, const store::ResultStore& store) {
  const std::uint64_t done = world.sum(store.tally().done);
  const std::uint64_t failed = world.sum(store.tally().failed);
  return {points, store.found().done + done, store.found().failed + failed, done + failed};
}

}  // namespace

Outcome run(const mpi::Communicator& world, const sweep::Sweep& sweep, const Plan& plan,
            const RunOptions& options) {
  require_countable(sweep);
  const bool some_too_large = too_large_points(sweep, plan).has_value();
  const std::string numerics = common_numerics(world, options.allow_mixed_numerics);
  const Row row(sweep);
  store::FileSchema schema = file_schema(sweep, row);
  schema.numerics_identity = numerics;
  store::StoreOptions store_options;
  store_options.wanted = points_of(sweep, options.shard);
  const std::uint64_t points = store_options.wanted.empty()
                                   ? sweep.size()
                                   : std::uint64_t(std::ranges::count(store_options.wanted, true));
  require_room(world, options.output, predicted_file_bytes(schema) * double(points) / double(sweep.size()));
  if (!options.trace.empty()) pipeline::require_trace_file(world, options.trace);
  const pipeline::Place place = plan.layout.place_of(world.rank());
  const mpi::Communicator group = world.split(place.group, place.stage);
  read_data(world, sweep, group.rank() == 0, group.rank() == group.size() - 1);

  store_options.allow_mixed_numerics = options.allow_mixed_numerics;
  store_options.retry_failed = options.retry_failed;
  store_options.launch = launch_facts(world);
  store_options.launch["launch_shard"] = fmt::format("{}/{}", options.shard.number, options.shard.of);
  store::ResultStore store = store::ResultStore::open(world, group, options.output, schema, store_options);

  const auto unfinished = std::uint64_t(std::ranges::count(store.unfinished(), true));
  ProgressReports reports(world, plan.layout, points - unfinished, points, options.progress);
  const auto finished_here = [&] { return store.tally().done + store.tally().failed; };
  std::optional<pipeline::Trace> trace;
  if (!options.trace.empty()) {
    world.barrier();  // the ranks' clocks start together
    trace.emplace(place.group, world.rank(), most_events(world.size()));
  }
  const auto breathe = [&] {
    const double start = trace ? trace->now_seconds() : 0;
    const std::uint64_t before = finished_here();
    options.stop() ? store.flush() : store.progress();
    if (trace && finished_here() != before) trace->add(pipeline::Activity::commit, start);
    reports.update(finished_here());
  };

  const pipeline::Share share = share_of(sweep, plan.layout, place.group);
  const double seconds_per_cost = options.seconds_left ? forecast_seconds_per_cost(world, sweep, plan) : 0;
  GroupRun group_run(group, sweep, row, plan, share, store, options.stop, breathe, trace ? &*trace : nullptr,
                     options.seconds_left, seconds_per_cost, some_too_large);
  if (has_precision(sweep, "float32")) group_run.measure<float>(Precision::float32);
  if (has_precision(sweep, "float64")) group_run.measure<double>(Precision::float64);

  {
    const pipeline::Traced traced(trace ? &*trace : nullptr, pipeline::Activity::commit);
    store.finish();
  }
  reports.close(finished_here());
  store.close();
  if (trace) pipeline::write_trace(world, *trace, options.trace);
  return outcome_of(world, points, store);
}

}  // namespace gradflow::experiment
